//! Known attacks, each by its number, against the real program in front of a real server: refused, and without a trace
//! of what it was after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

#[path = "e2e_attacks/approvals.rs"]
mod approvals;
#[path = "e2e_attacks/archive.rs"]
mod archive;
#[path = "e2e_attacks/bombs.rs"]
mod bombs;
#[path = "e2e_attacks/definitions.rs"]
mod definitions;
#[path = "e2e_attacks/files.rs"]
mod files;
#[path = "e2e_attacks/floods.rs"]
mod floods;
#[path = "e2e_attacks/gaps.rs"]
mod gaps;
#[path = "e2e_attacks/hostile.rs"]
mod hostile;
#[path = "e2e_attacks/inside.rs"]
mod inside;
#[path = "e2e_attacks/labels.rs"]
mod labels;
#[path = "e2e_attacks/leakage.rs"]
mod leakage;
#[path = "e2e_attacks/live.rs"]
mod live;
#[path = "e2e_attacks/live_events.rs"]
mod live_events;
#[path = "e2e_attacks/live_trust.rs"]
mod live_trust;
#[path = "e2e_attacks/masking.rs"]
mod masking;
#[path = "e2e_attacks/memory.rs"]
mod memory;
#[path = "e2e_attacks/operations.rs"]
mod operations;
#[path = "e2e_attacks/outages.rs"]
mod outages;
#[path = "e2e_attacks/parts.rs"]
mod parts;
#[path = "e2e_attacks/resources.rs"]
mod resources;
#[path = "e2e_attacks/saml.rs"]
mod saml;
#[path = "e2e_attacks/secrets.rs"]
mod secrets;
#[path = "e2e_attacks/smuggling.rs"]
mod smuggling;
#[path = "e2e_attacks/statements.rs"]
mod statements;
#[path = "e2e_attacks/survival.rs"]
mod survival;
#[path = "e2e_attacks/tampering.rs"]
mod tampering;
#[path = "e2e_attacks/tapes.rs"]
mod tapes;
#[path = "e2e_attacks/tokens.rs"]
mod tokens;
#[path = "e2e_attacks/upgrade.rs"]
mod upgrade;
#[path = "e2e_attacks/wide.rs"]
mod wide;
