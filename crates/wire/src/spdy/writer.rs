//! Frames to bytes.

use super::fields::Packer;
use super::{Field, Frame};

/// Writes one direction.
pub struct Writer(Packer);

impl Default for Writer {
    fn default() -> Self {
        Self(Packer::new())
    }
}

/// Writes the head of a frame of content, which follows.
pub fn begin_data(out: &mut Vec<u8>, stream: u32, is_last: bool, length: usize) {
    out.extend_from_slice(&(stream & 0x7fff_ffff).to_be_bytes());
    out.push(u8::from(is_last));
    out.extend_from_slice(&short(length));
}

/// The three bytes of a length.
fn short(length: usize) -> [u8; 3] {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c]
}

impl Writer {
    /// Writes a frame at the end of `out`.
    pub fn write(&mut self, out: &mut Vec<u8>, frame: &Frame) {
        match frame {
            Frame::Open { stream, is_last, fields } => {
                let content = self.packed(&[*stream, 0], &[0, 0], fields);
                control(out, 1, *is_last, &content);
            }
            Frame::Reply { stream, is_last, fields } => {
                let content = self.packed(&[*stream], &[], fields);
                control(out, 2, *is_last, &content);
            }
            Frame::Fields { stream, is_last, fields } => {
                let content = self.packed(&[*stream], &[], fields);
                control(out, 8, *is_last, &content);
            }
            Frame::Reset { stream, status } => control(out, 3, false, &numbers(&[*stream, *status])),
            Frame::Ping(id) => control(out, 6, false, &numbers(&[*id])),
            Frame::GoAway { last, status } => control(out, 7, false, &numbers(&[*last, *status])),
            Frame::Ignored => {}
            Frame::Data { stream, is_last, content } => {
                begin_data(out, *stream, *is_last, content.len());
                out.extend_from_slice(content);
            }
        }
    }

    fn packed(&mut self, front: &[u32], behind: &[u8], fields: &[Field]) -> Vec<u8> {
        let mut content = numbers(front);
        content.extend_from_slice(behind);
        self.0.write(&mut content, fields);
        content
    }
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn control(out: &mut Vec<u8>, kind: u16, is_last: bool, content: &[u8]) {
    out.extend_from_slice(&[0x80, 3]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.push(u8::from(is_last));
    out.extend_from_slice(&short(content.len()));
    out.extend_from_slice(content);
}
