//! URLs as `htu` compares them (RFC 9449, section 4.3): after syntax-based and scheme-based normalisation (RFC 3986,
//! sections 6.2.2 and 6.2.3), byte by byte.

/// The normal form of an HTTP URL; `None` if it is none, or has a query or a fragment, which `htu` does not have, or a
/// user.
pub(super) fn normal(uri: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\".contains(&byte);
    let (scheme, rest) = uri.split_once("://")?;
    if !rest.bytes().all(is_plain) {
        return None;
    }
    let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => ("http", "80"),
        "https" => ("https", "443"),
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.contains('@') {
        return None;
    }
    let authority = authority.to_ascii_lowercase();
    // The brackets of an IPv6 address hold colons of their own.
    let (host, given) = match authority.rsplit_once(':') {
        Some((host, given)) if !given.contains(']') => (host, given),
        _ => (authority.as_str(), ""),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = bare.map_or(!host.contains(['[', ']', ':']), |address| !address.contains(['[', ']']));
    if host.is_empty() || !is_host || !given.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let path = without_dots(&decoded(path)?);
    let port = if given.is_empty() || given == port { String::new() } else { format!(":{given}") };
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// The path with its escapes in one form: those of unreserved characters undone, the others in upper case.
fn decoded(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (digits, after) = after.split_at_checked(2)?;
        let byte = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16));
        let byte = byte?.ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&digits.to_ascii_uppercase());
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// The path without `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split('/').skip(1) {
        ends_in_slash = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let slash = if ends_in_slash && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_urls_have_one_form() {
        for same in [
            "https://sluice.example/v1/whoami",
            "HTTPS://Sluice.EXAMPLE:443/v1/whoami",
            "https://sluice.example:/v1/./who%61mi",
            "https://sluice.example/x/../v1/%77hoami",
        ] {
            assert_eq!(normal(same).as_deref(), Some("https://sluice.example/v1/whoami"), "{same}");
        }
        assert_eq!(normal("http://[::1]:80").as_deref(), Some("http://[::1]/"));
        assert_eq!(normal("http://[::1]:7632/a%2fb").as_deref(), Some("http://[::1]:7632/a%2Fb"));
        assert_eq!(normal("http://a/b/..").as_deref(), Some("http://a/"));
        assert_eq!(normal("http://a/b/c/.").as_deref(), Some("http://a/b/c/"));
        assert_eq!(normal("http://a/@b").as_deref(), Some("http://a/@b"), "no user, but a name in the path");
        assert_eq!(normal("http://a/../../b").as_deref(), Some("http://a/b"));
    }

    #[test]
    fn what_is_no_url_of_a_request_has_no_form() {
        for wrong in [
            "",
            "/v1/whoami",
            "sluice.example/v1/whoami",
            "ftp://sluice.example/",
            "https:///v1",
            "https://sluice.example/v1?x=1",
            "https://sluice.example/v1#x",
            "https://user@sluice.example/v1",
            "https://sluice.example\\@evil.example/",
            "https://sluice.example/%4",
            "https://sluice.example/%zz",
            "https://sluice.example/%+1",
            "https://sluice.example:x/",
            "https://sluice.example::1/",
            "https://[::1/",
            "https://sluice.example/ a",
            "https://sluice.examplé/",
        ] {
            assert_eq!(normal(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_normal_form_is_its_own(uri in "https?://[a-z:.\\[\\]0-9]{0,8}(/[a-z.%0-9]{0,4}){0,5}") {
            if let Some(form) = normal(&uri) {
                proptest::prop_assert_eq!(normal(&form), Some(form.clone()));
            }
        }
    }
}
