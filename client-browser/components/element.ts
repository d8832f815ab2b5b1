import { LitElement } from 'lit';
import '../styles/all.css';

/**
 * Base of the pages' elements. They render into the document itself, not a shadow root: one stylesheet serves
 * screen and print, and labels may refer to ids across elements.
 */
export abstract class PageElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}
