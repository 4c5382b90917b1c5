//! Which paths fit which templates.

use proptest::prelude::*;

use super::*;

fn found(template: &str, path: &str) -> Option<String> {
    let found = Template::parse(template).unwrap().matches(path)?;
    Some(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn names_stand_for_one_part() {
    for (template, path, expected) in [
        ("/", "/", Some("")),
        ("/", "/a", None),
        ("/v1/customers", "/v1/customers", Some("")),
        ("/v1/customers", "/v1/customers/", None),
        ("/v1/customers/", "/v1/customers/", Some("")),
        ("/v1/customers", "/V1/customers", None),
        ("/v1/customers/{id}", "/v1/customers/7", Some("id=7")),
        ("/v1/customers/{id}", "/v1/customers/", None),
        ("/v1/customers/{id}", "/v1/customers/7/", None),
        ("/v1/customers/{id}", "/v1/customers/7/cards", None),
        ("/v1/{a}/{b}", "/v1/x%20y/%C3%A9", Some("a=x y b=é")),
        ("/files/{name}.json", "/files/a.b.json", Some("name=a.b")),
        ("/files/{name}.json", "/files/.json", None),
        ("/files/{name}.json", "/files/a.xml", None),
        ("/{from}-{to}", "/1-2-3", Some("from=1 to=2-3")),
        ("/{a}.{b}.x", "/1.2.3.x", Some("a=1 b=2.3")),
        ("/v1/{id}:cancel", "/v1/7:cancel", Some("id=7")),
        ("/v1/{id}:cancel", "/v1/7:delete", None),
        ("/static/{path*}", "/static/a/b/c", Some("path=a/b/c")),
        ("/static/{path*}", "/static/", Some("path=")),
        ("/static/{path*}", "/static", None),
        ("/{all*}", "/", Some("all=")),
        ("/{all*}", "/a/b", Some("all=a/b")),
        ("/p/{id}", "/p/a%2Fb", Some("id=a/b")),
    ] {
        assert_eq!(found(template, path).as_deref(), expected, "{template} {path}");
    }
}

#[test]
fn other_templates_are_refused() {
    for template in [
        "", "a", "//", "/a//b", "/./a", "/../a", "/{", "/{}", "/{a", "/{a}{b}", "/{a}/{a}", "/{a b}", "/a b", "/é",
        "/a%20", "/a;b", "/a?b", "/{a*}/b", "/x{a*}", "/a/}", "/\\", "//{a*}",
    ] {
        assert!(Template::parse(template).is_err(), "{template}");
    }
}

#[test]
fn the_more_concrete_comes_first() {
    let ordered = [
        "/users/me/a",
        "/users/me",
        "/users/{id}.json",
        "/users/{id}/a",
        "/users/{id}",
        "/users/{rest*}",
        "/{any}/me",
        "/{all*}",
    ];
    let mut templates: Vec<Template> = ordered.iter().rev().map(|text| Template::parse(text).unwrap()).collect();
    templates.sort_by(Template::precedence);
    let sorted: Vec<&str> = templates.iter().map(|template| &**template.text()).collect();
    assert_eq!(sorted, ordered);
    let same = |one: &str, other: &str| Template::parse(one).unwrap().is_same(&Template::parse(other).unwrap());
    assert!(same("/a/{b}", "/a/{c}") && same("/{a*}", "/{b*}"));
    assert!(!same("/a/{b}", "/a/{b}/") && !same("/a/{b}", "/a/b") && !same("/{a}", "/{a*}"));
}

proptest! {
    #[test]
    fn a_template_fits_what_it_is_filled_with(
        parts in proptest::collection::vec(("[a-z]{0,3}", proptest::option::of("[a-zA-Z0-9_~-]{1,5}")), 1..5),
    ) {
        let (mut template, mut path, mut expected) = (String::new(), String::new(), vec![]);
        for (at, (literal, value)) in parts.iter().enumerate() {
            let literal = if literal.is_empty() && value.is_none() { "x" } else { literal.as_str() };
            template.push_str(&format!("/{literal}"));
            path.push_str(&format!("/{literal}"));
            if let Some(value) = value {
                template.push_str(&format!("{{p{at}}}"));
                path.push_str(value);
                expected.push((Arc::from(format!("p{at}")), Arc::from(value.as_str())));
            }
        }
        prop_assert_eq!(Template::parse(&template).unwrap().matches(&path), Some(expected));
    }
}
