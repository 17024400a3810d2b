import type { Server } from "node:http";

export declare function servePage(port: number): Promise<Server>;
