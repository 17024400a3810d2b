export interface EntrySize {
  readonly path: string;
  readonly minified: number;
  readonly gzipped: number;
  readonly onDemand: number;
}
export declare function sizes(): Promise<EntrySize[]>;
export declare function ledger(): EntrySize[];
export declare function differences(recorded: readonly EntrySize[], actual: readonly EntrySize[]): string[];
