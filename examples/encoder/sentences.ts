/** A dozen sentences on four subjects, three each, so that the map of similarities shows four bright squares. */
export const sentences: readonly string[] = [
  "The cat sat on the mat.",
  "A kitten is sleeping on the rug.",
  "My dog chases cats around the garden.",
  "It will rain all day tomorrow.",
  "The forecast says a storm is coming.",
  "What a lovely sunny morning!",
  "Stock prices fell sharply on Monday.",
  "The bank raised its interest rates again.",
  "Investors are worried about inflation.",
  "How do I sort a list in Python?",
  "This function returns an array of numbers.",
  "The program crashed with a null pointer.",
];
