import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { HighlightStyle, bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { EditorState, type Text } from '@codemirror/state';
import { EditorView, drawSelection, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import type { Schemas } from '../../api/client';
import { cedar, toml } from './cedar';

type Mistake = Schemas['MistakeView'];

/** Where the cursor is to go. */
export interface Place {
  file: string;
  line: number;
  column: number;
  /** When it was asked for. */
  at: number;
}

interface Props {
  name: string;
  text: string;
  change: (text: string) => void;
  mistakes: Mistake[];
  place: Place | undefined;
}

const COLOURS = HighlightStyle.define([
  { tag: tags.comment, color: 'var(--quiet)' },
  { tag: [tags.keyword, tags.operatorKeyword], color: 'var(--keyword)', fontWeight: '600' },
  { tag: [tags.string, tags.number, tags.bool], color: 'var(--literal)' },
  { tag: tags.meta, color: 'var(--good-text)' },
  { tag: tags.special(tags.variableName), color: 'var(--accent)' },
]);

const LOOKS = EditorView.theme({
  '&': { backgroundColor: 'var(--ground)', color: 'var(--text)', border: '1px solid var(--quiet)', maxHeight: '32rem' },
  '&.cm-focused': { outline: '3px solid var(--focus)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontSize: '0.9rem', lineHeight: '1.5', overflow: 'auto' },
  '.cm-content': { caretColor: 'var(--text)', minHeight: '12rem' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--raised)', color: 'var(--quiet)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--sunken)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--text)', border: '1px solid var(--line)' },
  '.cm-specialChar': { color: 'var(--bad)', fontWeight: '600' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--good-ground) !important' },
});

// What a browser itself writes in the place of a selection comes with a style as a text, which the policy of the pages forbids.
const TYPED = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== 'insertText' || !event.data || view.composing || view.state.selection.main.empty) return false;
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: 'input.type', scrollIntoView: true });
    return true;
  },
});

/** An editor in a tree of its own: there its styles come as objects, which the policy of the pages allows, and not as texts. */
export function Editor({ name, text, change, mistakes, place }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const changed = useRef(change);
  changed.current = change;
  const first = useRef(text);
  useEffect(() => {
    if (!host.current) return;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: 'open' });
    const editor = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          highlightActiveLine(),
          highlightSpecialChars(),
          bracketMatching(),
          lintGutter(),
          name.endsWith('.cedar') ? cedar : toml,
          syntaxHighlighting(COLOURS),
          LOOKS,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': `Text of ${name}`, 'aria-multiline': 'true', spellcheck: 'false' }),
          TYPED,
          // Without Tab: by it one leaves the editor.
          keymap.of([...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => {
      view.current = undefined;
      editor.destroy();
    };
  }, [name]);
  // What is written elsewhere, such as by *As it was*.
  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== text) editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [text]);
  useEffect(() => {
    const editor = view.current;
    if (editor) editor.dispatch(setDiagnostics(editor.state, mistakes.map((mistake) => diagnostic(editor.state.doc, mistake))));
  }, [mistakes]);
  useEffect(() => {
    const editor = view.current;
    if (!editor || !place) return;
    editor.dispatch({ selection: { anchor: offset(editor.state.doc, place.line, place.column) }, scrollIntoView: true });
    editor.focus();
  }, [place]);
  return <div className="editor" ref={host} />;
}

/** Where a line and a column are: columns count characters, and offsets UTF-16. */
function offset(doc: Text, line: number, column: number): number {
  const found = doc.line(Math.min(Math.max(1, line), doc.lines));
  const before = [...found.text].slice(0, Math.max(0, column - 1)).join('');
  return found.from + before.length;
}

function diagnostic(doc: Text, mistake: Mistake): Diagnostic {
  const from = mistake.line > 0 ? offset(doc, mistake.line, mistake.column) : 0;
  const line = doc.lineAt(from);
  const meant = [...doc.sliceString(from, doc.length)].slice(0, mistake.length).join('').length;
  const to = mistake.length > 0 ? Math.min(from + meant, doc.length) : line.to;
  return { from, to: Math.max(from, to), severity: 'error', message: mistake.help ? `${mistake.message} (${mistake.help})` : mistake.message };
}
