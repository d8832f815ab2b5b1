import type { ChosenColumns, DroppedFile, Limits } from '../worker/messages.ts';

/** What the sections ask of the page. */
export interface Actions {
  useLink(link: string): void;
  connect(organisation: string): void;
  choose(files: readonly DroppedFile[]): void;
  readAgain(columns: ChosenColumns): void;
  consent(limits: Limits): void;
  decline(): void;
  pause(): void;
  resume(): void;
  withdraw(): void;
  changeKey(): void;
  forget(): void;
  receipt(): void;
  exportAccount(): void;
}
