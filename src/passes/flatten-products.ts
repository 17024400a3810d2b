import { rulePass } from "./rewrite.ts";
import { productRules } from "./rules/products.ts";

/** Brings products, and the scatters and concats around them, into the form that fuses best. Attention was recognised before. */
export const flattenProducts = rulePass(productRules);
