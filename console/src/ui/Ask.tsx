// Dialogs that ask before something is done.
import { type FormEvent, type ReactNode, useState } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { Trouble } from './parts';

interface Props {
  isOpen: boolean;
  close: () => void;
  title: string;
  /** What the button says that does it. */
  verb: string;
  tone?: 'good' | 'bad';
  children?: ReactNode;
  act: (form: FormData) => Promise<unknown>;
}

export function Ask({ isOpen, close, title, verb, tone = 'good', children, act }: Props) {
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const leave = () => {
    setError(undefined);
    close();
  };
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await act(new FormData(event.currentTarget));
      leave();
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={(open) => !open && leave()} isDismissable>
      <Modal className="modal">
        <Dialog className="dialog">
          <form onSubmit={(event) => void submit(event)}>
            <Heading slot="title">{title}</Heading>
            {children}
            {error !== undefined && <Trouble error={error} />}
            <div className="buttons">
              <button type="button" onClick={leave}>
                Cancel
              </button>
              <button type="submit" className={tone} disabled={isBusy}>
                {isBusy ? 'Doing it…' : verb}
              </button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

export function Reason({ isNeeded = false, hint }: { isNeeded?: boolean; hint: string }) {
  return (
    <label className="field">
      <span>Reason{isNeeded ? '' : ' (may be left out)'}</span>
      <textarea name="reason" rows={3} maxLength={1000} required={isNeeded} placeholder={hint} autoFocus />
    </label>
  );
}
