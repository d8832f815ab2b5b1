/** Hugging Face names of the three tables that the host looks up and scatters into. */
export const wordEmbedding = 'bert.embeddings.word_embeddings.weight';
export const positionEmbedding = 'bert.embeddings.position_embeddings.weight';
export const typeEmbedding = 'bert.embeddings.token_type_embeddings.weight';
