/**
 * Chromium under a POSIX locale calls its language `en-US@posix`, which is no language tag, and uPlot formats numbers
 * with it the moment it is imported. Imported before uPlot.
 */
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en', configurable: true });
}
