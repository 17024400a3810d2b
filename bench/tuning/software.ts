// What the tables of the software adapters are made with: npm run sinter -- tune bench/tuning/software.ts#plain bench/tuning/software.ts#tiny --adapter lavapipe
import { configs } from "../gpt2-model.ts";
import { trainingStep } from "../gpt2-step.ts";
import { grid } from "./grid.ts";

export const tiny = trainingStep(configs.tiny);
export const plain = grid("f32", false);
export const small = trainingStep(configs.small);
