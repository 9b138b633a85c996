//! Any text as a file: it is read, every option has a value of its type or is named as invalid, and no
//! message shows a secret. See CONTRIBUTING.md for how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oslo_config::{Ini, Opt, Schema, Sources, Type};

const TYPES: &[&str] = &[
    "String(choices=['a', 'b'], ignore_case=True)",
    "String(quotes=True, max_length=5)",
    "Boolean",
    "Integer(min=-1, max=10)",
    "Float",
    "Port",
    "List(bounds=True, item=Integer)",
    "List(item=String(quotes=True))",
    "Dict(value=List(bounds=True, item=String))",
    "IPAddress",
    "Hostname",
    "HostAddress",
    "URI(max_length=20, schemes=['http'])",
];

fuzz_target!(|text: &str| {
    let mut schema = Schema::default();
    for (index, ty) in TYPES.iter().enumerate() {
        let ty: Type = ty.parse().expect("a type of the notation");
        for (group, multi) in [("DEFAULT", false), ("g", true)] {
            let name = char::from(b'a' + u8::try_from(index).expect("few types")).to_string();
            schema.add(Opt { multi, secret: multi, ..Opt::new(group, &name, ty.clone()) });
        }
    }
    let ini = Ini::parse(text);
    let lines = text.split(['\n', '\r']).count();
    assert!(ini.assignments.iter().all(|assignment| (1..=lines).contains(&(assignment.line as usize))));
    let mut sources = Sources::default();
    sources.add_text("fuzz", text);
    let settings = schema.resolve(&sources);
    for opt in schema.options() {
        assert!(settings.get(&opt.group, &opt.name).is_some());
    }
    for invalid in settings.invalid.iter().filter(|invalid| invalid.group == "g") {
        assert!(!invalid.reason.contains("found"), "{}", invalid.reason);
    }
});
