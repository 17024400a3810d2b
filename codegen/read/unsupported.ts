import { ts } from "ts-morph";

/** What a piece of syntax is called, and what to write instead. */
export type Refusal = readonly [what: string, instead: string];

const K = ts.SyntaxKind;

const noText: Refusal = [
  "text",
  "compute with numbers and booleans only: compare with a number, as in mode === 0 ? a : b",
];
const noLoop = "a loop must be known when it is built: write for (let i = 0; i < 8; i++), with constants";
const noChange = "write let x = …, and x = … in statements of their own";

/** Syntax that a body cannot hold. */
export const refused: Readonly<Partial<Record<ts.SyntaxKind, Refusal>>> = {
  [K.StringLiteral]: noText,
  [K.NoSubstitutionTemplateLiteral]: noText,
  [K.TemplateExpression]: ["a template", noText[1]],
  [K.TaggedTemplateExpression]: ["a tagged template", noText[1]],
  [K.RegularExpressionLiteral]: ["a regular expression", noText[1]],
  [K.BigIntLiteral]: ["a bigint", "write the number without n; | 0 makes it a 32-bit integer"],
  [K.NullKeyword]: ["null", "give every value a number, such as 0 or NaN"],
  [K.ThisKeyword]: ["this", "take what is needed as a parameter"],
  [K.SuperKeyword]: ["super", "call a plain function"],
  [K.NewExpression]: ["new", "use numbers, arrays and objects: { n: 0, mean: 0 }"],
  [K.ClassExpression]: ["a class", "use plain functions and objects"],
  [K.AwaitExpression]: ["await", "compute everything from the parameters: a body runs on the GPU"],
  [K.YieldExpression]: ["yield", "return an array or object of all results"],
  [K.TypeOfExpression]: ["typeof", "declare the parameter as number or boolean"],
  [K.VoidExpression]: ["void", "leave it out"],
  [K.DeleteExpression]: ["delete", "make a new object without the property"],
  [K.SpreadElement]: ["...", "write the elements out: [a[0], a[1]]"],
  [K.SpreadAssignment]: ["...", "write the properties out: { n: s.n, mean: s.mean }"],
  [K.ComputedPropertyName]: ["a computed name", "write the name itself: { mean: x }"],
  [K.OmittedExpression]: ["an empty element", "write a number in its place"],
  [K.GetAccessor]: ["a getter", "write a property or a function"],
  [K.SetAccessor]: ["a setter", "write a property or a function"],
  [K.MetaProperty]: ["this property", "use a constant of the file"],
  [K.JsxElement]: ["JSX", "compute with numbers and booleans only"],

  [K.WhileStatement]: ["while", noLoop],
  [K.DoStatement]: ["do … while", noLoop],
  [K.ForInStatement]: ["for … in", "write for (const x of [a, b, c]) over an array"],
  [K.SwitchStatement]: ["switch", "write if (mode === 0) … else if (mode === 1) … else …"],
  [K.TryStatement]: ["try", "arithmetic does not throw: test with Number.isNaN or Number.isFinite"],
  [K.ThrowStatement]: ["throw", "return NaN where there is no result"],
  [K.LabeledStatement]: ["a label", "write the loops without break and continue"],
  [K.BreakStatement]: ["break", "write the rest of the loop's body under an if"],
  [K.ContinueStatement]: ["continue", "write the rest of the loop's body under an if"],
  [K.WithStatement]: ["with", "name the object: m.x"],
  [K.DebuggerStatement]: ["debugger", "call the function on numbers to debug it, in a test or in Node"],
  [K.ClassDeclaration]: ["a class", "use plain functions and objects"],
  [K.EnumDeclaration]: ["an enum", "use constants of numbers"],
  [K.ModuleDeclaration]: ["a namespace", "use constants and functions"],
};

const O = ts.SyntaxKind;

/** Operators that a body cannot hold. */
export const refusedOperators: Readonly<Partial<Record<ts.SyntaxKind, Refusal>>> = {
  [O.InKeyword]: ["in", "a state has all its properties: read them as s.n"],
  [O.InstanceOfKeyword]: ["instanceof", "a body sees numbers and booleans only"],
  [O.CommaToken]: ["the comma operator", "write statements of their own"],
  [O.QuestionQuestionToken]: ["??", "every value is there: leave it out, or write x === 0 ? y : x"],
  [O.QuestionQuestionEqualsToken]: ["??=", "every value is there: leave it out"],
};

export const refusedAssignment: Refusal = ["an assignment inside an expression", noChange];
export const refusedIncrement: Refusal = ["++ or -- inside an expression", noChange];
export const refusedOptional: Refusal = ["?.", "every value is there: write a plain ."];

/** How syntax is named that no table knows. */
export const syntaxName = (node: ts.Node): string => {
  const text = node.getText().split("\n")[0] as string;
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
};
