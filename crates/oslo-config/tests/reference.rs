//! Compares with what oslo.config itself made of the same texts; see `dev/record-oslo-config.py`.

#![expect(clippy::unwrap_used, reason = "a recording that is not as expected fails the test")]

use oslo_config::{DefaultValue, Opt, Schema, Sources, Type, Value};
use serde_json::Value as Json;

fn recorded() -> Json {
    serde_json::from_str(include_str!("data/values.json")).unwrap()
}

fn encode(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::String(text) => Json::from(text.as_str()),
        Value::Bool(flag) => Json::from(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => serde_json::json!({ "float": number.to_string() }),
        Value::List(items) => items.iter().map(encode).collect(),
        Value::Dict(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| serde_json::json!([key, encode(value)])).collect();
            serde_json::json!({ "dict": pairs })
        }
    }
}

/// Both sides print the digits of a float in their own way.
fn same(ours: &Json, theirs: &Json) -> bool {
    let float =
        |json: &Json| json.get("float").and_then(Json::as_str).map(|text| text.parse::<f64>().unwrap().to_bits());
    match (ours, theirs) {
        (Json::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        _ => ours == theirs || float(ours).is_some_and(|ours| Some(ours) == float(theirs)),
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

#[test]
fn types_convert_as_the_reference_does() {
    let recorded = recorded();
    let texts = recorded["types"]["texts"].as_array().unwrap();
    let mut differences = Vec::new();
    let mut compared = 0;
    for (name, results) in recorded["types"]["results"].as_object().unwrap() {
        let ty: Type = name.parse().unwrap();
        for (input, theirs) in texts.iter().zip(results.as_array().unwrap()) {
            let ours = ty.convert(text(input)).map_or(serde_json::json!({ "error": true }), |value| encode(&value));
            compared += 1;
            if !same(&ours, theirs) {
                differences.push(format!("{name} of {input}: {ours} instead of {theirs}"));
            }
        }
    }
    assert!(compared > 5000, "{compared}");
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}

fn schema(options: &Json) -> Schema {
    let mut schema = Schema::default();
    for option in options.as_array().unwrap() {
        let mut opt = Opt::new(text(&option["group"]), text(&option["name"]), text(&option["type"]).parse().unwrap());
        opt.multi = option["multi"] == true;
        opt.default = default(&option["default"]);
        for older in option["older"].as_array().unwrap() {
            opt.add_deprecated_name(text(&older[0]), text(&older[1]));
        }
        schema.add(opt);
    }
    schema
}

fn default(json: &Json) -> DefaultValue {
    let string = |json: &Json| Value::String(text(json).to_owned());
    match json {
        Json::String(text) => DefaultValue::Text(text.clone()),
        Json::Array(items) => DefaultValue::Value(Value::List(items.iter().map(string).collect())),
        Json::Bool(flag) => DefaultValue::Value(Value::Bool(*flag)),
        Json::Number(number) => DefaultValue::Value(Value::Int(number.as_i64().unwrap())),
        Json::Object(object) if object.contains_key("dict") => DefaultValue::Value(Value::Dict(Vec::new())),
        Json::Object(object) => DefaultValue::Value(Value::Float(text(&object["float"]).parse().unwrap())),
        Json::Null => DefaultValue::Value(Value::None),
    }
}

fn sources(case: &Json) -> Sources {
    let mut sources = Sources::default();
    for (index, file) in case["files"].as_array().unwrap().iter().enumerate() {
        sources.add_text(&format!("/{index}.conf"), text(file));
    }
    let variables = case["environment"].as_object().unwrap();
    sources.add_environment(variables.iter().map(|(name, value)| (name.clone(), text(value).to_owned())));
    sources
}

#[test]
fn files_resolve_as_in_the_reference() {
    let recorded = recorded();
    let schema = schema(&recorded["options"]);
    let mut differences = Vec::new();
    let mut compared = 0;
    for case in recorded["files"].as_array().unwrap() {
        let sources = sources(case);
        let first_error = sources.parse_errors().next().map(|(origin, _)| origin.to_string());
        let their_error = case.get("parse_error").map(|at| format!("/{}.conf:{}", at[0], at[1]));
        if first_error != their_error {
            differences.push(format!("{case}\n  parse error {first_error:?} instead of {their_error:?}"));
        }
        let Some(values) = case.get("values") else {
            continue;
        };
        let settings = schema.resolve(&sources);
        for (option, theirs) in recorded["options"].as_array().unwrap().iter().zip(values.as_array().unwrap()) {
            let (group, name) = (text(&option["group"]), text(&option["name"]));
            let invalid = settings.invalid.iter().any(|invalid| invalid.group == group && invalid.name == name);
            let value = || encode(&settings.get(group, name).unwrap().value);
            let ours = if invalid { serde_json::json!({ "error": true }) } else { value() };
            compared += 1;
            if !same(&ours, theirs) {
                let files = &case["files"];
                differences
                    .push(format!("{files} {}\n  [{group}] {name}: {ours} instead of {theirs}", case["environment"]));
            }
        }
    }
    assert!(compared > 8000, "{compared}");
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}
