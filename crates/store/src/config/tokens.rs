//! `[tokens]` of `sluice.toml`: what Sluice issues for credentials that it accepts.

use std::time::Duration;

use super::issuer::{is_fetchable, is_loopback};
use super::sluice::seconds;
use super::{IssuerConfig, Section, TokenConfig};

pub(super) fn tokens(section: Section<'_, '_>, issuers: &[IssuerConfig]) -> TokenConfig {
    let tokens = TokenConfig {
        issuer: section.text("issuer").and_then(|url| origin(&section, "issuer", url)),
        max_lifetime: section.duration("max_lifetime", seconds(1, 3600)).unwrap_or(Duration::from_secs(600)),
        max_passwords_per_subject: section.number("max_passwords_per_subject", 1..=1000).unwrap_or(50),
    };
    if issuers.iter().any(|other| Some(&*other.issuer.url) == tokens.issuer.as_deref()) {
        section.report("issuer", "an [[issuer]] has this URL", "no two issuers share one: write Sluice's own");
    }
    section.finish();
    tokens
}

/// Scheme, host and port alone: then there is one place below which everything stands, and one form to compare.
pub(super) fn origin(section: &Section<'_, '_>, key: &'static str, url: String) -> Option<String> {
    let is_origin = url.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#', '@']));
    if is_origin && url == url.to_ascii_lowercase() && (is_fetchable(&url, "https://") || is_loopback(&url)) {
        return Some(url);
    }
    let advice =
        "write how callers reach the admin listener, such as \"https://sluice.example.com:7632\", without a path";
    section.report(key, "it is no such URL", advice);
    None
}
