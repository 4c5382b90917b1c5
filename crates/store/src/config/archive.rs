//! `[archive]` of `sluice.toml`: where tapes go that are finished.

use std::path::PathBuf;
use std::time::Duration;

use super::credential::{SOURCE_ADVICE, secret};
use super::issuer::{is_fetchable, is_loopback};
use super::sluice::seconds;
use super::{CredentialSource, Section};

/// A bucket of an object storage that speaks S3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveConfig {
    /// The bucket.
    pub bucket: String,
    /// What the names of its objects begin with, without a slash at either end; may be empty.
    pub prefix: String,
    /// The server, without a slash at the end. Plain HTTP only on this machine.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The id of the access key.
    pub key_id: String,
    /// Where the access key's secret is.
    pub secret: CredentialSource,
    /// The CA that the server's certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a file stays that is in the archive.
    pub keep_local: Duration,
}

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn archive(section: Section<'_, '_>) -> Option<ArchiveConfig> {
    let url = section.parsed("url", "s3://BUCKET or s3://BUCKET/PREFIX, of a-z, 0-9, and . - _", place);
    let region = section.parsed("region", "the name of a region", |text| is_name(text).then(|| text.to_owned()));
    let endpoint = section.text("endpoint");
    let allows_http = section.flag("allow_http").unwrap_or(false);
    let key_id = section.parsed("key_id", "the id of an access key", |text| is_name(text).then(|| text.to_owned()));
    let found = secret(&section, "secret");
    let ca_file = section.path("ca_file");
    let keep_local = section.duration("keep_local", seconds(0, 36_500 * 86_400));
    let endpoint = endpoint.map(|endpoint| safe(&section, &endpoint, allows_http));
    if !section.is_present() {
        section.finish();
        return None;
    }
    let url = section.required("url", url, "write url = \"s3://BUCKET/PREFIX\"");
    let region = section.required("region", region, "write region = \"us-east-1\", or what your server calls its own");
    let key_id = section.required("key_id", key_id, "write the id of the access key");
    let secret = found.and_then(|source| section.required("secret", source, SOURCE_ADVICE));
    section.finish();
    let ((bucket, prefix), region) = (url?, region?);
    let endpoint = match endpoint {
        Some(endpoint) => endpoint?,
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let keep_local = keep_local.unwrap_or(Duration::from_secs(7 * 86_400));
    Some(ArchiveConfig { bucket, prefix, endpoint, region, key_id: key_id?, secret: secret?, ca_file, keep_local })
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Bucket and prefix.
fn place(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix("s3://")?.trim_end_matches('/');
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_dots = |part: &str| part.bytes().all(|byte| byte == b'.');
    let is_part = |part: &str| is_name(part) && !is_dots(part);
    let is_good = is_part(bucket) && (prefix.is_empty() || prefix.split('/').all(is_part)) && prefix.len() <= 500;
    is_good.then(|| (bucket.to_owned(), prefix.to_owned()))
}

/// What is sent is sealed, but the signature of a request is worth something to whoever listens.
fn safe(section: &Section<'_, '_>, url: &str, allows_http: bool) -> Option<String> {
    if is_fetchable(url, "https://") || (allows_http && is_loopback(url)) {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let advice = "write a URL with https:// and without query or fragment; allow_http is for a server on this machine";
    section.report("endpoint", "tapes cannot be sent there safely", advice);
    None
}
