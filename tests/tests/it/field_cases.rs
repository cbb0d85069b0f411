//! Real files and real projects: what a user sees of kinds made from columns, contradictions, bad rows, typos, dialects and mistakes in settings.

use infrahub_sync_tests::{Output, Project};
use serde_json::{Value, json};

/// A project from the folder `in` to the folder `out`.
fn project(mappings: &str, files: &[(&str, &str)]) -> Project {
    with_settings("{path: in}", "{path: out}", mappings, files)
}

fn with_settings(source: &str, destination: &str, mappings: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::new(&format!(
        "name: p\nsource: {{name: files, settings: {source}}}\ndestination: {{name: files, settings: {destination}}}\nschema_mapping:\n{mappings}"
    ));
    project.write("in/.keep", "");
    project.write("out/.keep", "");
    files.iter().for_each(|(name, text)| project.write(name, text));
    project
}

/// The words of a command, both streams.
fn words(output: &Output) -> String {
    format!("{}\n{}", output.stdout, output.stderr)
}

const SITES_OF_DEVICES: &str =
    "  - {name: Site, mapping: devices, identifiers: [name], fields: [{name: name, mapping: site}, {name: region, mapping: region}]}
  - name: Device
    mapping: devices
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: site, mapping: site, reference: Site}]
";

#[test]
fn kinds_are_made_from_the_columns_of_one_sheet() {
    let sheet = "name,site,region\na,zrh,ch\nb,zrh,ch\nc,muc,de\n";
    let agreeing = project(SITES_OF_DEVICES, &[("in/devices.csv", sheet)]);
    let told = words(&agreeing.ok(&["sync"]));
    assert!(told.contains("Site: 3 records are 2 objects: records with the same identifiers and the same values are one object"), "{told}");
    assert_eq!(agreeing.read("out/Site.jsonl"), "{\"name\":\"muc\",\"region\":\"de\"}\n{\"name\":\"zrh\",\"region\":\"ch\"}\n");
    assert_eq!(agreeing.plan(&[]).0, 0);

    let contradicting = project(SITES_OF_DEVICES, &[("in/devices.csv", &format!("{sheet}d,muc,at\n"))]);
    let stopped = contradicting.run(&["sync"]);
    assert_eq!(stopped.code, 6, "{}", words(&stopped));
    let line =
        "Site `muc` (`devices`, line 5) has the same identifiers as `muc` (`devices`, line 4) and differs in `region`: \"at\", \"de\"";
    assert!(stopped.stderr.contains(line), "{}", stopped.stderr);
    assert_eq!(contradicting.run(&["sync", "--continue-on-error"]).code, 7);
    assert_eq!(contradicting.read("out/Site.jsonl"), "{\"name\":\"zrh\",\"region\":\"ch\"}\n");
}

#[test]
fn bad_rows_are_left_out_and_the_first_ten_are_shown() {
    let mapping = "  - name: Device
    mapping: devices
    identifiers: [name]
    filters: [{field: units, operation: \">\", value: 3}]
    transforms: [{field: serial, expression: \"{{ serial.upper() }}\"}]
    fields: [{name: name, mapping: name}, {name: serial, mapping: serial}]
";
    let rows = (0..40).map(|at| {
        let serial = if at % 3 == 0 { json!(at) } else { json!(format!("s{at}")) };
        json!({"name": format!("d{at}"), "serial": serial, "units": if at == 1 { json!("many") } else { json!(at) }}).to_string()
    });
    let project = project(mapping, &[("in/devices.jsonl", &rows.collect::<Vec<_>>().join("\n"))]);
    let stopped = project.run(&["sync"]);
    assert_eq!(stopped.code, 6, "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("Device `d1` (`devices`, line 2): filter on 'units': '>' cannot read the text 'many'"),
        "{}",
        stopped.stderr
    );
    assert!(
        stopped.stderr.contains("13 source records cannot be used") && stopped.stderr.contains("… and 3 more. In all:"),
        "{}",
        stopped.stderr
    );
    assert!(stopped.stderr.contains("12 Device: `serial`: transform of 'serial'"), "{}", stopped.stderr);
    let partial = project.run(&["sync", "--no-diff", "--continue-on-error"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert_eq!(project.read("out/Device.jsonl").lines().count(), 40 - 4 - 12);
}

#[test]
fn a_run_tells_what_it_read() {
    let mapping = "  - name: Device
    mapping: devices
    identifiers: [name]
    filters: [{field: units, operation: \"==\", value: 10}]
    fields: [{name: name, mapping: name}, {name: serial, mapping: serail}]
  - {name: Rack, mapping: racks, identifiers: [name], filters: [{field: name, operation: ==, value: x}], fields: [{name: name, mapping: name}]}
  - {name: Site, mapping: sites, identifiers: [name], fields: [{name: name, mapping: name}]}
";
    let files = [("in/devices.csv", "name, units,serial\na,10,x\nb,9,y\n"), ("in/racks.csv", "name\nr1\n"), ("in/sites.csv", "name\n")];
    let project = project(mapping, &files);
    let told = project.ok(&["diff"]).stderr;
    for line in [
        "warning: Device from `devices`: none of its records has `serail`; they have `name`, `serial`, `units`",
        "warning: Rack from `racks`: the filters left out all 1 records: `name == \"x\"` 1",
        "No records: `sites`",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let plan: Value = project.plan(&[]).1;
    assert_eq!(plan["mappings"][0]["read"], json!(2));
    assert_eq!(plan["mappings"][0]["filters"], json!([{"filter": "units == 10", "records": 1}]));
    assert_eq!(plan["mappings"][0]["mapped"], json!(1));
    let verbose = project.ok(&["diff", "--verbose"]).stderr;
    assert!(verbose.contains("Device from `devices`: 2 records read, 1 left out by `units == 10`, 1 mapped"), "{verbose}");
    project.write("in/devices.csv", "name,units,serial\n");
    project.write("in/racks.csv", "name\n");
    let empty = project.ok(&["diff"]).stderr;
    assert!(empty.contains("warning: the source has no records: `devices`, `racks`, `sites`"), "{empty}");
}

#[test]
fn values_are_read_as_the_type_of_the_schema_or_their_row_is_listed() {
    let schema = "kinds: {Device: {identifiers: [name], fields: {name: {type: text}, u: {type: integer, optional: true}, f: {type: float, optional: true}, b: {type: boolean, optional: true}}}}";
    let mapping = "  - {name: Device, mapping: devices, identifiers: [name], fields: [{name: name, mapping: name}, {name: u, mapping: u}, {name: f, mapping: f}, {name: b, mapping: b}]}\n";
    let files = [("in/devices.csv", "name,u,f,b\na, 10 ,1.5,TRUE\nb,010,1,no\nc,7,x,\n"), ("out/schema.yml", schema)];
    let project = with_settings("{path: in}", "{path: out, schema: schema.yml}", mapping, &files);
    let stopped = project.run(&["sync"]);
    assert_eq!(stopped.code, 6);
    for line in [
        "Device `b` (`devices`, line 3): `u` is \"010\", which is not an integer",
        "Device `c` (`devices`, line 4): `f` is \"x\", which is not a number",
    ] {
        assert!(stopped.stderr.contains(line), "{}", stopped.stderr);
    }
    assert_eq!(project.run(&["sync", "--continue-on-error"]).code, 7);
    assert_eq!(project.read("out/Device.jsonl"), "{\"name\":\"a\",\"b\":true,\"f\":1.5,\"u\":10}\n");
}

#[test]
fn numbers_keep_their_digits_from_the_source_to_the_written_file() {
    let mapping = "  - {name: Release, mapping: releases, identifiers: [version], fields: [{name: version, mapping: version}, {name: n, mapping: n}, {name: of, mapping: of, reference: Release}]}\n";
    let records = r#"[{"version":1.10,"n":18446744073709551616},{"version":1234E5,"n":1e400,"of":"1.10"},
        {"version":123456789012345678901234567890,"n":[0.10,{"a":1E5}]},{"version":1.0,"n":-0.25}]"#;
    let project = project(mapping, &[("in/releases.json", records)]);
    let plan = project.ok(&["diff"]).stdout;
    for line in
        ["  + 1.10\n", "  + 1234E5\n", "  + 123456789012345678901234567890\n", "18446744073709551616", "[0.10,{\"a\":1E5}]", "1e400"]
    {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    project.ok(&["sync"]);
    let written = project.read("out/Release.jsonl");
    for words in [
        "{\"version\":1.10,\"n\":18446744073709551616}",
        "{\"version\":1234E5,\"n\":1e400,\"of\":{\"version\":1.10}}",
        "{\"version\":123456789012345678901234567890,",
    ] {
        assert!(written.contains(words), "{words}: {written}");
    }
    assert_eq!(project.plan(&[]).0, 0);
    // Other digits of the same numbers are no change; the next integer is one.
    let same = r#"[{"version":1.10,"n":18446744073709551616.0},{"version":1234E5,"n":10e399,"of":"1.10"},
        {"version":123456789012345678901234567890,"n":[0.1,{"a":100000}]},{"version":1,"n":-0.250}]"#;
    project.write("in/releases.json", same);
    assert_eq!(project.plan(&[]).0, 0);
    project.write("in/releases.json", &same.replace("18446744073709551616.0", "18446744073709551617"));
    let plan = project.ok(&["diff"]).stdout;
    assert!(plan.contains("18446744073709551616 → 18446744073709551617"), "{plan}");
    project.ok(&["sync", "--no-full-extract"]);
    assert!(project.read("out/Release.jsonl").contains("\"n\":18446744073709551617"));
    project.write("in/releases.jsonl", "");
    std::fs::remove_file(project.path().join("in/releases.json")).unwrap();
    project.write("in/releases.yaml", "- {version: 1.10, n: 18446744073709551617}\n");
    std::fs::remove_file(project.path().join("in/releases.jsonl")).unwrap();
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn a_line_that_is_not_an_object_is_a_mistake_in_the_file() {
    let mapping = "  - {name: P, mapping: p, identifiers: [name], fields: [{name: name, mapping: name}]}\n";
    for (line, reason) in [
        ("{\"name\": \"b\",}", "line 3, column 14: not a JSON object: trailing comma"),
        ("[1]", "line 3, column 3: not a JSON object: record 2 is a list, not an object"),
        ("5", "line 3, column 1: not a JSON object: record 2 is a number, not an object"),
        ("{} x", "line 3, column 4: not a JSON object: trailing characters"),
    ] {
        let project = project(mapping, &[("in/p.jsonl", &format!("{{\"name\":\"a\"}}\n\n{line}\n"))]);
        let told = project.run(&["diff"]);
        assert_eq!(told.code, 3, "{}", told.stderr);
        assert!(told.stderr.contains("error: source resource `p`, page 1") && told.stderr.contains(reason), "{}", told.stderr);
        assert!(told.stderr.contains("hint: correct the file"), "{}", told.stderr);
    }
}

#[test]
fn mappings_that_give_one_field_two_values_contradict() {
    let mapping = "  - {name: P, mapping: a, identifiers: [name], fields: [{name: name, mapping: name}, {name: serial, mapping: serial}]}
  - {name: P, mapping: b, identifiers: [name], fields: [{name: name, mapping: name}, {name: serial, mapping: sn}]}
";
    let project = project(mapping, &[("in/a.csv", "name,serial\nx,1\ny,2\n"), ("in/b.csv", "name,sn\nx,9\ny,2\n")]);
    let told = project.run(&["diff"]);
    assert_eq!(told.code, 6);
    let line = "P `x` (`b`, line 2) has the same identifiers as `x` (`a`, line 2) and differs in `serial`: \"9\", \"1\"";
    assert!(told.stderr.contains(line) && !told.stderr.contains("`y`"), "{}", told.stderr);
}

#[test]
fn validate_reports_all_mistakes_at_once_and_checks_settings() {
    let broken = Project::new(
        "name: p\nsource: {name: nosuch, settings: {a: \"${NOT_SET_ANYWHERE}\"}}\ndestination: {name: files, settings: {pth: out}}\nfoo: 1\nschema_mapping:\n  - {name: ../x, mapping: d, identifiers: [name], fields: [{name: name, mapping: name}]}\n",
    );
    let told = broken.run(&["validate"]);
    assert_eq!(told.code, 3);
    for words in [
        "warning: the environment variable `NOT_SET_ANYWHERE` is not set",
        "error: unknown key `foo`",
        "error: the kind's name `../x` cannot be the name of a file",
        "error: adapter `nosuch` not found",
        "error: settings of destination `files` 0.1.0: `path` is required; `pth` is unknown, did you mean `path`?",
    ] {
        assert!(told.stderr.contains(words), "{words}\n{}", told.stderr);
    }
    let fields = "  - {name: P, mapping: p, fields: [{name: a, mapping: a}]}\n";
    let unidentified = project(fields, &[("in/p.json", "[]")]);
    let told = unidentified.ok(&["validate"]).stderr;
    assert!(told.contains("warning: `P` has no `identifiers`: a run takes the unique fields of the destination's schema"), "{told}");
    assert_eq!(unidentified.run(&["diff"]).code, 3);
}

#[test]
fn namesakes_in_a_plan_are_told_apart() {
    let mapping = "  - {name: P, mapping: p, identifiers: [a, b], fields: [{name: a, mapping: a}, {name: b, mapping: b}]}\n";
    let project = project(mapping, &[("in/p.json", "[{\"a\":\"n\",\"b\":null},{\"a\":\"n\",\"b\":\"None\"}]")]);
    let plan = project.ok(&["diff"]).stdout;
    assert!(plan.contains("  + n__None\n") && plan.contains("  + n__None (identifiers: [\"n\",\"None\"])\n"), "{plan}");
}

/// Checks the 14 example projects of infrahub-sync 2.0.1.
#[test]
fn examples_of_2_0_1_are_valid_but_for_python_code() {
    let Some(folder) = infrahub_sync_tests::live::examples_of_2_0_1() else { return };
    let mut checked = 0;
    for example in std::fs::read_dir(folder).unwrap() {
        let Ok(config) = std::fs::read_to_string(example.unwrap().path().join("config.yml")) else { continue };
        let told = Project::new(&config).run(&["validate"]);
        let errors: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let name = config.lines().find(|line| line.contains("name:")).unwrap_or_default();
        match errors.as_slice() {
            [] => assert_eq!(told.code, 0, "{name}\n{}", told.stderr),
            [only] => assert!(only.contains("is Python code"), "{name}\n{only}"),
            several => panic!("{name}\n{several:?}"),
        }
        checked += 1;
    }
    assert_eq!(checked, 14);
}
