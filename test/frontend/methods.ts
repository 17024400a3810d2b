export * as methods from "../../src/frontend/methods.ts";
