//! What is read from documents.

use super::*;

/// A document with these paths, and with these components.
fn document(paths: &str, components: &str) -> String {
    format!(r#"{{"openapi":"3.0.3","paths":{paths},"components":{components}}}"#)
}

/// The rules for the answer of the one operation, whose schema this is.
fn rules(schema: &str, components: &str) -> Result<Vec<String>, String> {
    let paths = format!(
        r#"{{"/a":{{"get":{{"responses":{{"200":{{"content":{{"application/json":{{"schema":{schema}}}}}}}}}}}}}}}"#
    );
    match read(&document(&paths, components)) {
        Ok(found) => Ok(found[0]
            .operation
            .fields
            .iter()
            .map(|rule| {
                let classes: Vec<&str> = rule.classes.iter().map(|class| class.as_str()).collect();
                format!("{} {}", rule.path, classes.join("+"))
            })
            .collect()),
        Err(errors) => Err(errors[0].to_string()),
    }
}

const EMAIL: &str = r#"{"type":"string","x-sluice-class":"email"}"#;

#[test]
fn classes_are_found_wherever_a_schema_says_them() {
    for (schema, expected) in [
        (EMAIL.to_owned(), vec!["$ email"]),
        (format!(r#"{{"properties":{{"a":{EMAIL},"b.c":{EMAIL}}}}}"#), vec!["$.a email", "$[\"b.c\"] email"]),
        (format!(r#"{{"items":{{"items":{EMAIL}}}}}"#), vec!["$[*][*] email"]),
        (format!(r#"{{"prefixItems":[{{}},{EMAIL}]}}"#), vec!["$[*] email"]),
        (format!(r#"{{"additionalProperties":{EMAIL}}}"#), vec!["$.* email"]),
        (format!(r#"{{"patternProperties":{{"^x":{EMAIL}}}}}"#), vec!["$.* email"]),
        (format!(r#"{{"allOf":[{{"oneOf":[{{"anyOf":[{EMAIL}]}}]}}]}}"#), vec!["$ email"]),
        (
            format!(r#"{{"if":{{}},"then":{EMAIL},"else":{{"properties":{{"a":{EMAIL}}}}}}}"#),
            vec!["$ email", "$.a email"],
        ),
        (format!(r#"{{"dependentSchemas":{{"x":{{"properties":{{"a":{EMAIL}}}}}}}}}"#), vec!["$.a email"]),
        (r#"{"x-sluice-class":["phone","email"]}"#.to_owned(), vec!["$ email+phone"]),
        (r#"{"additionalProperties":true,"items":{}}"#.to_owned(), vec![]),
        (format!(r#"{{"not":{EMAIL},"example":{{"x-sluice-class":"email"}}}}"#), vec![]),
    ] {
        assert_eq!(rules(&schema, "{}").unwrap(), expected, "{schema}");
    }
}

#[test]
fn references_are_followed_to_any_depth() {
    let components = format!(
        r##"{{"schemas":{{
            "Mail":{EMAIL},
            "Node":{{"properties":{{"mail":{{"$ref":"#/components/schemas/Mail"}},
                                    "next":{{"$ref":"#/components/schemas/Node"}}}}}},
            "Pet":{{"discriminator":{{"propertyName":"kind","mapping":{{"cat":"Cat","dog":"#/components/schemas/Node"}}}}}},
            "Cat":{{"properties":{{"owner":{EMAIL}}}}}
        }}}}"##
    );
    let found = |schema: &str| rules(schema, &components);
    assert_eq!(found(r##"{"$ref":"#/components/schemas/Mail"}"##).unwrap(), ["$ email"]);
    let node = found(r##"{"properties":{"first":{"$ref":"#/components/schemas/Node"}}}"##).unwrap();
    assert_eq!(node, ["$.first.mail email", "$.first..mail email"]);
    let pet = found(r##"{"items":{"$ref":"#/components/schemas/Pet"}}"##).unwrap();
    assert_eq!(pet, ["$[*].mail email", "$[*].owner email", "$[*]..mail email"]);
    // What stands beside a reference counts as well.
    let beside = found(r##"{"$ref":"#/components/schemas/Cat","x-sluice-class":"phone"}"##).unwrap();
    assert_eq!(beside, ["$ phone", "$.owner email"]);
}

#[test]
fn a_document_whose_classes_are_not_all_found_is_refused() {
    for (schema, expected) in [
        (r#"{"x-sluice-class":7}"#, "x-sluice-class is the name of a class"),
        (r#"{"x-sluice-class":[]}"#, "x-sluice-class is the name of a class"),
        (r#"{"x-sluice-class":""}"#, "x-sluice-class is the name of a class"),
        (r##"{"$ref":"#/components/schemas/None"}"##, "there is no #/components/schemas/None"),
        (r#"{"$ref":"other.yaml#/x"}"#, "there is no other.yaml#/x"),
        (r#"{"discriminator":{"mapping":{"a":"None"}}}"#, "there is no #/components/schemas/None"),
    ] {
        let error = rules(schema, "{}").unwrap_err();
        assert!(error.contains(expected) && error.starts_with("#/paths/~1a/get"), "{schema}: {error}");
    }
    let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(40), "}".repeat(40));
    assert!(rules(&deep, "{}").unwrap_err().contains("nested too deep"));
    let levels = (0..20).map(|at| {
        let next = at + 1;
        let reference = format!(r##"{{"$ref":"#/components/schemas/S{next}"}}"##);
        format!(r#""S{at}":{{"allOf":[{{"allOf":[{reference}]}},{{"oneOf":[{reference}]}}]}}"#)
    });
    let components = format!(r#"{{"schemas":{{{},"S20":{EMAIL}}}}}"#, levels.collect::<Vec<_>>().join(","));
    let error = rules(r##"{"$ref":"#/components/schemas/S0"}"##, &components).unwrap_err();
    assert!(error.contains("too many"), "{error}");
}

#[test]
fn paths_are_below_those_of_their_servers() {
    for (servers, expected) in [
        ("[]", Some(vec!["/a"])),
        (r#"[{"url":"/"}]"#, Some(vec!["/a"])),
        (r#"[{"url":"https://x.example"}]"#, Some(vec!["/a"])),
        (r#"[{"url":"https://x.example/v1/"},{"url":"https://y.example/v1"}]"#, Some(vec!["/v1/a"])),
        (r#"[{"url":"https://x.example/v1"},{"url":"/v2"}]"#, Some(vec!["/v1/a", "/v2/a"])),
        (r#"[{"url":"v3"}]"#, Some(vec!["/v3/a"])),
        (r#"[{"url":"//x.example/v4?q#f"}]"#, Some(vec!["/v4/a"])),
        (r#"[{"url":"/{base}","variables":{"base":{"default":"v5"}}}]"#, Some(vec!["/v5/a"])),
        (r#"[{"url":"/{base}"}]"#, None),
        (r#"[{"url":"/{base}","variables":{"base":{}}}]"#, None),
        ("[{}]", None),
    ] {
        let text = format!(r#"{{"openapi":"3.1.0","servers":{servers},"paths":{{"/a":{{"get":{{}}}}}}}}"#);
        let found = read(&text).map(|all| all.into_iter().map(|found| found.template).collect::<Vec<_>>());
        assert_eq!(found.ok(), expected.map(|all| all.into_iter().map(str::to_owned).collect()), "{servers}");
    }
    let nearer = r#"{"openapi":"3.1.0","servers":[{"url":"/root"}],"paths":{
        "/a":{"get":{"servers":[{"url":"/op"}]},"put":{}}, "/b":{"servers":[{"url":"/item"}],"get":{}}}}"#;
    let mut templates: Vec<String> =
        read(nearer).map_err(|errors| errors[0].to_string()).unwrap().into_iter().map(|found| found.template).collect();
    templates.sort();
    assert_eq!(templates, ["/item/b", "/op/a", "/root/a"]);
}

#[test]
fn json_and_yaml_are_read_and_nothing_else() {
    let yaml = "openapi: 3.1.0\npaths:\n  /a:\n    get: {operationId: one, x-sluice-speaks: graphql}\n";
    let found = read(yaml).map_err(|errors| errors[0].to_string()).unwrap();
    assert_eq!((found[0].method.as_str(), &*found[0].operation.name), ("GET", "one"));
    assert_eq!(found[0].operation.speaks, Speaks::Graphql);
    for (text, expected) in [
        ("{", "it is no JSON"),
        ("a: [", "it is no YAML"),
        ("openapi: 3.1.0\nopenapi: 3.0.0", "it is no YAML"),
        ("", "it is not of OpenAPI 3.0 or 3.1"),
        (r#"{"swagger":"2.0"}"#, "it is not of OpenAPI 3.0 or 3.1"),
        (r#"{"openapi":3.1}"#, "it is not of OpenAPI 3.0 or 3.1"),
        (r#"{"openapi":"4.0.0"}"#, "it is not of OpenAPI 3.0 or 3.1"),
        (r##"{"openapi":"3.0.0","paths":{"/a":{"$ref":"#/paths/~1a"}}}"##, "a reference leads nowhere"),
        (
            r#"{"openapi":"3.0.0","paths":{"/a":{"get":{"x-sluice-speaks":"soap"}}}}"#,
            "x-sluice-speaks is one of http, graphql",
        ),
        (r##"{"openapi":"3.0.0","paths":{"/a":{"get":{"responses":{"200":{"$ref":"#/none"}}}}}}"##, "leads nowhere"),
    ] {
        let errors = read(text).err().unwrap_or_default();
        assert!(errors.iter().any(|error| error.to_string().contains(expected)), "{text}: {errors:?}");
    }
    // An alias that stands for more than the document is not followed for ever.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for at in 1..12 {
        let before = format!("*a{}", at - 1);
        bomb.push_str(&format!("a{at}: &a{at} [{}]\n", vec![before; 10].join(",")));
    }
    assert!(read(&bomb).is_err_and(|errors| errors[0].to_string().contains("it is no YAML")));
}
