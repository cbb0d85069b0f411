//! A custom adapter of infrahub-sync 2.0.1, a Python class with `model_loader`, becomes a component that loads: `adapter new --from-python`.

use std::path::Path;

use infrahub_sync_tests::Project;
use serde_json::{Value, json};

use crate::languages::{build, ok, scratch};

/// A custom adapter that hands its records to `filter_records`, as most do.
const FILTERING: &str = r#"from __future__ import annotations

import json
from pathlib import Path

from diffsync import Adapter, DiffSyncModel
from infrahub_sync import DiffSyncMixin, DiffSyncModelMixin, SchemaMappingModel, SyncAdapter, SyncConfig


class Shop:
    def __init__(self, path: str) -> None:
        with Path(path).open(encoding="utf-8") as file:
            self.tables = json.load(file)


class ShopAdapter(DiffSyncMixin, Adapter):
    type = "Shop"

    def __init__(self, target: str, adapter: SyncAdapter, config: SyncConfig, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.config = config
        self.settings = adapter.settings or {}
        self.client = Shop(self.settings.get("db_path", ""))

    def model_loader(self, model_name: str, model: ShopModel) -> None:
        for element in self.config.schema_mapping:
            if element.name != model_name:
                continue
            for table in ("old", "new"):
                rows = self.client.tables[table].get(element.mapping, [])
                if self.config.source.name.title() == self.type.title():
                    rows = model.filter_records(records=rows, schema_mapping=element)
                    rows = model.transform_records(records=rows, schema_mapping=element)
                for row in rows:
                    self.add(model(**row))


class ShopModel(DiffSyncModelMixin, DiffSyncModel):
    @classmethod
    def create(cls, adapter, ids, attrs):
        return super().create(adapter=adapter, ids=ids, attrs=attrs)
"#;

/// A custom adapter that maps the fields itself, without a model of its own.
const MAPPING: &str = r#"import json

from diffsync import Adapter
from infrahub_sync import DiffSyncMixin


class PlainAdapter(DiffSyncMixin, Adapter):
    def __init__(self, target, adapter, config):
        super().__init__()
        self.config = config
        self.rows = json.loads(open(adapter.settings["db_path"]).read())["old"]

    def model_loader(self, model_name, model):
        for element in self.config.schema_mapping:
            for row in self.rows[element.mapping] if element.name == model_name else []:
                data = {"local_id": row["hostname"]}
                for field in element.fields:
                    data[field.name] = row.get(field.mapping.split(".")[0])
                self.add(model(**data))
"#;

/// Takes over a class, builds it, and syncs its records. Returns the written devices; none if this machine has no tools for Python.
fn taken_over(name: &str, class: &str, code: &str) -> Option<Vec<Value>> {
    let folder = scratch().join("taken").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let filter =
        "filters: [{field: state.name, operation: ==, value: up}], transforms: [{field: hostname, expression: \"{{ hostname|upper }}\"}]";
    let project = Project::new(&format!(
        "name: taken\nsource: {{name: {name}, adapter: ./{name}.wasm, settings: {{folder: data, db_path: ./shop.json}}}}\ndestination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n  - {{name: Device, mapping: devices, identifiers: [name], {filter}, fields: [{{name: name, mapping: hostname}}, {{name: state, mapping: state.name}}]}}\n"
    ));
    project.write(&format!("classes/{name}_adapter.py"), code);
    let devices = |names: [&str; 2]| json!({"devices": names.map(|name| json!({"hostname": name, "state": {"name": if name == "b" { "down" } else { "up" }}}))});
    project.write("data/shop.json", &json!({"old": devices(["a", "b"]), "new": devices(["c", "d"])}).to_string());
    project.write("out/.keep", "");
    let made = project.ok(&[
        "adapter",
        "new",
        "--from-python",
        &format!("./classes/{name}_adapter.py:{class}"),
        "--directory",
        folder.to_str().unwrap(),
    ]);
    assert!(
        made.stderr.contains("your code unchanged") && made.stderr.contains("no line of it was found that must be changed"),
        "{}",
        made.stderr
    );
    let text = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    assert_eq!(text(&format!("{name}_adapter.py")), code);
    assert!(text("CHANGES.md").contains(&format!("`adapter: ./{name}.wasm`")), "{}", text("CHANGES.md"));

    let component = build(&folder, "python")?;
    ok(&folder, &["python3", "-m", "unittest", "--quiet"]);
    std::fs::copy(component, project.path().join(format!("{name}.wasm"))).unwrap();
    let inspected = project.ok(&["adapter", "inspect", &format!("./{name}.wasm")]).stdout;
    assert!(inspected.contains("db_path") && inspected.contains("folder"), "{inspected}");
    project.ok(&["sync"]);
    assert_eq!(project.plan(&[]).0, 0);
    Some(project.read("out/Device.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_class_with_model_loader_becomes_a_component_whose_records_the_host_filters_and_maps() {
    if let Some(devices) = taken_over("shop", "ShopAdapter", FILTERING) {
        assert_eq!(devices, ["A", "C", "D"].map(|name| json!({"name": name, "state": "up"})));
    }
}

#[test]
fn a_class_that_maps_its_fields_itself_becomes_a_component() {
    // Its own values are at the paths of the mapping: what it made of `state` is at `state.name`, an object that is no `up`.
    let code = MAPPING.replace("row.get(field.mapping.split(\".\")[0])", "\"up\" if field.name == \"state\" else row.get(field.mapping)");
    if let Some(devices) = taken_over("plain", "PlainAdapter", &code) {
        assert_eq!(devices, ["A", "B"].map(|name| json!({"name": name, "state": "up"})));
    }
}

#[test]
fn what_a_class_needs_by_hand_is_listed_with_its_lines() {
    let project = Project::new("name: none\n");
    project.write("shop.py", "import requests\n\n\nclass ShopAdapter:\n    def model_loader(self, model_name, model):\n        import yaml\n        requests.get(self.settings[\"url\"], headers={\"X\": self.settings.get(\"api_token\")})\n");
    let made = project.ok(&["adapter", "new", "--from-python", "shop.py:ShopAdapter"]);
    assert!(made.stderr.contains("CHANGES.md names 4 lines to change by hand"), "{}", made.stderr);
    let changes = project.read("shop/CHANGES.md");
    for line in [
        "| 1 | imports `requests`: a component has no sockets: take `infrahub_sync_adapter.http`",
        "| 6 | imports `yaml`: a package of pure Python works after",
        "| 6 | imports `yaml` inside a function",
        "| 7 | calls `requests`",
        "The host keeps secrets (`api_token`) to itself",
    ] {
        assert!(changes.contains(line), "{line}: {changes}");
    }
    let wrong = project.run(&["adapter", "new", "--from-python", "shop.py:Shop"]);
    assert_eq!((wrong.code, wrong.stderr.contains("`shop.py` has no class `Shop`")), (64, true), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("hint: its classes are `ShopAdapter`"), "{}", wrong.stderr);
}

/// Takes over the custom adapter of the examples of 2.0.1.
#[test]
fn the_custom_adapter_of_2_0_1_is_taken_over() {
    let Some(examples) = infrahub_sync_tests::live::examples_of_2_0_1() else { return };
    let source = examples.join("custom_adapter/custom_adapter_src");
    let class = format!("{}:MockdbAdapter", source.join("custom_adapter.py").display());
    let folder: &Path = &scratch().join("taken/mockdb");
    let _ = std::fs::remove_dir_all(folder);
    let project = Project::new(&format!(
        "name: custom\nsource: {{name: mockdb, adapter: ./mockdb.wasm, settings: {{folder: \"{}\", db_path: mock_db.json}}}}\ndestination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n  - {{name: InfraDevice, mapping: devices, identifiers: [name], fields: [{{name: name, mapping: name}}, {{name: type, mapping: device_type}}]}}\n",
        source.canonicalize().unwrap().display()
    ));
    project.write("out/.keep", "");
    project.ok(&["adapter", "new", "--from-python", &class, "--directory", folder.to_str().unwrap()]);
    let Some(component) = build(folder, "python") else { return };
    std::fs::copy(component, project.path().join("mockdb.wasm")).unwrap();
    project.ok(&["sync"]);
    let devices = project.read("out/InfraDevice.jsonl");
    assert_eq!(devices.lines().count(), 5, "{devices}");
    assert!(devices.contains("{\"name\":\"core01\",\"type\":\"juniper mx204\"}"), "{devices}");
}
