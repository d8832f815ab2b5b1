/** What a `tokenizer.json` says of its WordPiece model. */
export interface WordPieceModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly unknown: number;
  /** Before every piece but a word's first, `##`. */
  readonly continuing: string;
  /** Code points; a longer word is unknown as a whole. */
  readonly longestWord: number;
}

/** Ids of a word, always taking the longest piece that fits (Song et al. 2021 call it MaxMatch); unknown if one is missing. */
export function wordPieces(model: WordPieceModel): (word: string) => number[] {
  const { vocabulary, unknown, continuing, longestWord } = model;
  let longestPiece = 1;
  for (const piece of vocabulary.keys()) longestPiece = Math.max(longestPiece, piece.length);
  return (word) => {
    const whole = vocabulary.get(word);
    if (word.length > longestWord && [...word].length > longestWord) return [unknown];
    if (whole !== undefined) return [whole];
    const ids: number[] = [];
    for (let start = 0; start < word.length; ) {
      const prefix = start === 0 ? '' : continuing;
      let end = Math.min(word.length, start + longestPiece);
      let id: number | undefined;
      for (; end > start; end--) {
        id = vocabulary.get(prefix + word.slice(start, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return [unknown];
      ids.push(id);
      start = end;
    }
    return ids;
  };
}
