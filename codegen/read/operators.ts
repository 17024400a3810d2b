import { ts } from "ts-morph";

const K = ts.SyntaxKind;

/** The operation of each binary operator. */
export const binaryOps: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [K.PlusToken]: "add",
  [K.MinusToken]: "sub",
  [K.AsteriskToken]: "mul",
  [K.SlashToken]: "div",
  [K.PercentToken]: "rem",
  [K.AsteriskAsteriskToken]: "pow",
  [K.LessThanToken]: "lt",
  [K.LessThanEqualsToken]: "le",
  [K.GreaterThanToken]: "gt",
  [K.GreaterThanEqualsToken]: "ge",
  [K.EqualsEqualsToken]: "eq",
  [K.EqualsEqualsEqualsToken]: "eq",
  [K.ExclamationEqualsToken]: "ne",
  [K.ExclamationEqualsEqualsToken]: "ne",
  [K.AmpersandAmpersandToken]: "and",
  [K.BarBarToken]: "or",
  [K.AmpersandToken]: "bitAnd",
  [K.BarToken]: "bitOr",
  [K.CaretToken]: "bitXor",
  [K.LessThanLessThanToken]: "shl",
  [K.GreaterThanGreaterThanToken]: "shr",
  [K.GreaterThanGreaterThanGreaterThanToken]: "ushr",
};

/** The operation that an assignment applies first. */
export const assignmentOps: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [K.PlusEqualsToken]: "add",
  [K.MinusEqualsToken]: "sub",
  [K.AsteriskEqualsToken]: "mul",
  [K.SlashEqualsToken]: "div",
  [K.PercentEqualsToken]: "rem",
  [K.AsteriskAsteriskEqualsToken]: "pow",
  [K.AmpersandEqualsToken]: "bitAnd",
  [K.BarEqualsToken]: "bitOr",
  [K.CaretEqualsToken]: "bitXor",
  [K.LessThanLessThanEqualsToken]: "shl",
  [K.GreaterThanGreaterThanEqualsToken]: "shr",
  [K.GreaterThanGreaterThanGreaterThanEqualsToken]: "ushr",
  [K.AmpersandAmpersandEqualsToken]: "and",
  [K.BarBarEqualsToken]: "or",
};

export const isAssignment = (kind: ts.SyntaxKind): boolean => kind >= K.FirstAssignment && kind <= K.LastAssignment;

/** The operation of each prefix operator; `++` and `--` are statements. */
export const prefixOps: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [K.MinusToken]: "neg",
  [K.PlusToken]: "number",
  [K.ExclamationToken]: "not",
  [K.TildeToken]: "bitNot",
};
