//! The thumbprint of a key (RFC 7638; RFC 8037, section 2).

use aws_lc_rs::digest::{SHA256, digest};
use model::id::Digest;

use crate::json::{Json, Object};

/// The SHA-256 of the key's required members in the order of their names, without spaces. The key was parsed before, so
/// that each of them is plain base64url or the name of a curve.
pub(crate) fn thumbprint(jwk: &Object) -> Result<Digest, &'static str> {
    let kind = jwk.get("kty").and_then(Json::text);
    let names: &[&str] = match kind {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("OKP") => &["crv", "kty", "x"],
        Some("RSA") => &["e", "kty", "n"],
        _ => return Err("its type has no thumbprint"),
    };
    let member = |name: &&str| {
        let value = jwk.get(*name).and_then(Json::text).filter(|value| value.bytes().all(is_plain));
        value.map(|value| format!("\"{name}\":\"{value}\"")).ok_or("a member of the key is absent")
    };
    let members = names.iter().map(member).collect::<Result<Vec<_>, _>>()?;
    let canonical = format!("{{{}}}", members.join(","));
    digest(&SHA256, canonical.as_bytes()).as_ref().try_into().map(Digest).map_err(|_| "it has no thumbprint")
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::json::parse_object;

    fn shown(jwk: &str) -> String {
        URL_SAFE_NO_PAD.encode(thumbprint(&parse_object(jwk.as_bytes()).unwrap()).unwrap().0)
    }

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        // RFC 7638, section 3.1.
        let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        assert_eq!(shown(rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037, appendix A.3.
        let okp = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(shown(okp), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // RFC 9449, section 6.1, of the key of its section 4.2.
        let ec = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
        assert_eq!(shown(ec), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}
