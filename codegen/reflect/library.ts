import type * as Types from "wgsl_reflect";
// @ts-expect-error The module that works in Node has no types of its own.
import * as untyped from "wgsl_reflect/wgsl_reflect.module.js";

export type { ArrayInfo, MemberInfo, StructInfo, TemplateInfo, TypeInfo } from "wgsl_reflect";

/** wgsl_reflect, whose main module does not load in Node. It reads declarations and layouts, and validates nothing. */
export const { WgslReflect } = untyped as typeof Types;
