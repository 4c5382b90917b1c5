//! A recording as one page for a browser: what the screen showed, made ready beforehand, and a small player.
//!
//! The page needs no network and is let none: its policy allows its own script and style, by their digests, and nothing else.
//! What was on the tape is in it as data alone, escaped so that it cannot end the element that it is in, and is shown as text
//! (RC-13).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::replay::Line;
use model::id::SessionId;
use serde_json::{Value, json};

use super::reel::{Reel, Scene, Shot};
use frames::Frames;

mod frames;

const SCRIPT: &str = include_str!("page/player.js");
const STYLE: &str = include_str!("page/player.css");

/// A tape as a page.
pub(super) struct Page {
    title: String,
    reel: Reel,
    frames: Frames,
    /// The requests: their moments, and what was asked.
    requests: Vec<Value>,
}

impl Page {
    pub(super) fn new(session: SessionId, scene: Scene) -> Self {
        let channel = scene.channel.map(|channel| format!(", channel {channel}")).unwrap_or_default();
        let frames = Frames::new(scene.size);
        let title = format!("Sluice session {session}{channel}");
        Self { title, reel: Reel::new(scene), frames, requests: Vec::new() }
    }

    /// Takes a line of the tape.
    pub(super) fn line(&mut self, line: Line) {
        let (millis, shots) = self.reel.shots(line);
        for shot in shots {
            match shot {
                Shot::Shown(text) => self.frames.show(millis, &text),
                Shot::Size(columns, rows) => self.frames.resize(millis, (columns, rows)),
                Shot::Request(statement) => self.requests.push(json!({ "at": millis, "text": statement })),
                // A page shows what was seen.
                Shot::Written(_) => {}
            }
        }
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        let (frames, styles) = self.frames.finish();
        let began = self.reel.began().map(|began| began.to_string());
        let tape = json!({
            "title": self.title,
            "began": began,
            "frames": frames,
            "styles": styles,
            "requests": self.requests,
        });
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            source(SCRIPT),
            source(STYLE)
        );
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
            <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
            <meta name=\"referrer\" content=\"no-referrer\">\n\
            <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
            <body>\n<noscript>This page plays a recording, for which it needs its script.</noscript>\n\
            <script type=\"application/json\" id=\"tape\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            self.title,
            inert(&tape.to_string())
        )
    }
}

/// How a policy names a script or a style (CSP Level 3, section 2.3.1).
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// JSON in which nothing can end the element that it stands in, or begin another; its meaning is the same.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests;
