use super::*;
use crate::Type;

fn schema() -> Schema {
    let mut schema = Schema::default();
    schema.add(Opt::new("DEFAULT", "debug", Type::Boolean));
    schema.add(Opt { default: DefaultValue::Text("B".into()), ..Opt::new("DEFAULT", "b", Type::string()) });
    let mut log_file = Opt::new("DEFAULT", "log-file", Type::string());
    log_file.add_deprecated_name("DEFAULT", "log-config");
    schema.add(log_file);
    schema.add(Opt { multi: true, ..Opt::new("g", "many", Type::string()) });
    for name in ["x", "y", "b"] {
        schema.add(Opt::new("g", name, Type::string()));
    }
    schema.add(Opt { default: DefaultValue::Value(Value::Int(3)), ..Opt::new("g", "number", Type::integer()) });
    schema.add(Opt { secret: true, ..Opt::new("g", "secret", Type::integer()) });
    let mut moved = Opt { multi: true, ..Opt::new("g", "moved", Type::string()) };
    moved.add_deprecated_name("old", "moved");
    schema.add(moved);
    schema.add_in_any_group("remote_id_attribute");
    schema
}

fn resolve(texts: &[&str]) -> Settings {
    let mut sources = Sources::default();
    for (index, text) in texts.iter().enumerate() {
        sources.add_text(&format!("{index}.conf"), text);
    }
    schema().resolve(&sources)
}

fn text(settings: &Settings, group: &str, name: &str) -> String {
    str_of(&settings.get(group, name).unwrap().value)
}

fn reason(body: &str) -> String {
    let mut invalid = resolve(&[body]).invalid;
    assert_eq!(invalid.len(), 1, "in {body:?}: {invalid:?}");
    invalid.remove(0).reason
}

#[test]
fn later_files_and_later_lines_win() {
    let settings = resolve(&["[g]\nx=1\n[g]\nx=2\ny=2", "[G]\nx=3\n"]);
    assert_eq!(text(&settings, "g", "x"), "3");
    assert_eq!(text(&settings, "g", "y"), "2");
    assert_eq!(settings.get("g", "x").unwrap().origin.to_string(), "1.conf:2");
}

#[test]
fn multi_valued_options_collect_from_all_files() {
    let settings = resolve(&["[g]\nmany=1\nmany=2", "[g]\nmany=3"]);
    assert_eq!(text(&settings, "g", "many"), "['1', '2', '3']");
}

#[test]
fn environment_wins_over_files() {
    let mut sources = Sources::default();
    sources.add_text("a.conf", "[g]\nx=1\nmany=1");
    sources
        .add_environment([("OS_G__X", "$b!"), ("OS_G__MANY", "ab"), ("PATH", "/")].map(|(k, v)| (k.into(), v.into())));
    let settings = schema().resolve(&sources);
    assert_eq!(text(&settings, "g", "x"), "!");
    assert_eq!(text(&settings, "g", "many"), "['ab']");
    assert_eq!(settings.get("g", "x").unwrap().origin.to_string(), "environment variable OS_G__X");
}

#[test]
fn older_names_are_found_and_reported() {
    let settings = resolve(&["[DEFAULT]\nlog_config=a"]);
    assert_eq!(text(&settings, "DEFAULT", "log_file"), "a");
    assert_eq!(settings.deprecated.len(), 1);
    assert_eq!(settings.deprecated[0].origin.to_string(), "0.conf:2");
    assert_eq!(settings.unknown, []);
}

#[test]
fn current_name_wins_in_one_file_but_not_over_a_later_file() {
    let same = resolve(&["[DEFAULT]\nlog_file=new\nlog-config=old"]);
    assert_eq!(text(&same, "DEFAULT", "log_file"), "new");
    let later = resolve(&["[DEFAULT]\nlog_file=new", "[DEFAULT]\nlog-config=old"]);
    assert_eq!(text(&later, "DEFAULT", "log_file"), "old");
}

#[test]
fn older_values_of_a_multi_valued_option_come_first() {
    let settings = resolve(&["[g]\nmoved=1\n[old]\nmoved=2"]);
    assert_eq!(text(&settings, "g", "moved"), "['2', '1']");
    assert_eq!(settings.unknown, []);
}

#[test]
fn references_look_in_their_own_group_then_in_default() {
    assert_eq!(text(&resolve(&["[g]\nx=$b/$number\nb=mine"]), "g", "x"), "mine/3");
    assert_eq!(text(&resolve(&["[g]\nx=$debug\n[DEFAULT]\ndebug=on"]), "g", "x"), "True");
    assert_eq!(text(&resolve(&["[DEFAULT]\nb=$g.y\n[g]\ny=z"]), "DEFAULT", "b"), "z");
}

#[test]
fn bad_references_are_errors() {
    assert!(reason("[g]\nx=$nope").contains("$nope refers to no option"));
    assert!(reason("[g]\nx=$DEFAULT.b").contains("without it"));
    assert!(reason("[g]\nx=$b.").contains("refers to no option"));
    assert_eq!(resolve(&["[g]\nx=$y\ny=$x"]).invalid.len(), 2);
}

#[test]
fn wrong_values_are_reported_and_defaulted() {
    let settings = resolve(&["[g]\nnumber=x\n[DEFAULT]\ndebug=maybe"]);
    assert_eq!(settings.invalid.len(), 2);
    assert_eq!(settings.get("g", "number").unwrap().value, Value::Int(3));
    assert_eq!(settings.invalid[1].reason, "expected a whole number, found \"x\"");
    assert_eq!(settings.invalid[1].origin.to_string(), "0.conf:2");
}

#[test]
fn secrets_are_not_shown_in_reasons() {
    assert!(!reason("[g]\nsecret=hunter2").contains("hunter2"));
    assert!(!reason("[g]\nsecret=pa$hunter2").contains("hunter2"));
}

#[test]
fn unknown_names_are_reported_with_the_nearest() {
    let settings = resolve(&["[g]\nnumbr=1\nlog_file=x\n[gg]\na=1\nb=1\n[mapped]\nremote_id_attribute=REMOTE\n"]);
    let near: Vec<_> = settings.unknown.iter().map(|u| u.nearest.as_deref()).collect();
    assert_eq!(near, [Some("number"), Some("[DEFAULT] log_file"), Some("g")]);
    assert_eq!(settings.raw("mapped", "remote_id_attribute").unwrap().0, "REMOTE");
}

#[test]
fn unknown_variables_are_reported_for_known_groups_only() {
    let mut sources = Sources::default();
    sources.add_environment(["OS_G__NUMBR", "OS_G__X", "OS_NOVA__X", "OS_TOKEN"].map(|name| (name.into(), "1".into())));
    let unknown = schema().resolve(&sources).unknown;
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].nearest.as_deref(), Some("number"));
}

#[test]
fn given_lists_what_was_set() {
    let settings = resolve(&["[g]\nx=1"]);
    let given: Vec<_> = settings.given().map(|(group, name, _)| (group, name)).collect();
    assert_eq!(given, [("g", "x")]);
}

#[test]
fn references_cannot_fill_the_memory() {
    let mut schema = Schema::default();
    let mut text = "[g]\na0 = xxxxxxxx\n".to_owned();
    for index in 0..60 {
        schema.add(Opt::new("g", &format!("a{index}"), Type::string()));
        text.push_str(
            &["a", &(index + 1).to_string(), " = $a", &index.to_string(), "${a", &index.to_string(), "}\n"].concat(),
        );
    }
    let mut sources = Sources::default();
    sources.add_text("a.conf", &text);
    let invalid = schema.resolve(&sources).invalid;
    assert!(invalid.iter().any(|invalid| invalid.reason.contains("too long")));
}

proptest::proptest! {
    #[test]
    fn every_option_has_a_value_whatever_the_text(text in "(\\[(g|DEFAULT|old)\\]\n|(b|x|number|many|secret) = |[\\PC]|[$,:\n ]){0,60}") {
        let settings = resolve(&[&text]);
        for opt in schema().options() {
            proptest::prop_assert!(settings.get(&opt.group, &opt.name).is_some());
        }
    }
}
