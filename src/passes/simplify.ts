import { rulePass } from "./rewrite.ts";
import { arithmeticRules } from "./rules/arithmetic.ts";
import { logicRules } from "./rules/logic.ts";
import { orderRules } from "./rules/order.ts";
import { powerRules } from "./rules/powers.ts";
import { repeatRules } from "./rules/repeats.ts";
import { selectRules } from "./rules/select.ts";
import { sumRules } from "./rules/sums.ts";

/** Applies the algebra of the ops, one file of `rules` for each. */
export const simplify = rulePass([
  ...arithmeticRules,
  ...powerRules,
  ...orderRules,
  ...logicRules,
  ...selectRules,
  ...sumRules,
  ...repeatRules,
]);
