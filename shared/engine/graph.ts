/** placeholder while the graph lands */
export interface Graph {
  readonly nodes: readonly unknown[];
}
