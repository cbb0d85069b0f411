//! The shape of a component, read before it is compiled: one pass over its sections, which compiles and builds nothing.
//!
//! A few hundred bytes of nested components can stand for millions of instances, and a function of some hundred kilobytes can take gigabytes
//! to compile. The bounds are far above the largest known component (Python with its standard library), and far below what hurts a machine.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, FunctionBody, Instance, Parser,
    Payload,
};

/// Bytes of a component's file. Python with its standard library has 20 MiB.
pub const COMPONENT_BYTES_MAX: u64 = 128 << 20;
/// Components within components. The tools that make components need three.
const DEPTH_MAX: usize = 10;
/// Steps to make the instance of a component: instances, imports, aliases, exports and adapted functions, those of nested components as often
/// as they are instantiated.
const STEPS_MAX: u64 = 50_000;
/// Modules and nested components.
const PARTS_MAX: usize = 1_000;
/// Functions of all modules together.
const FUNCTIONS_MAX: usize = 60_000;
/// Bytes of all functions together. Python has 8 MiB.
const CODE_BYTES_MAX: u64 = 48 << 20;
/// Bytes of one function.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Local variables of one function.
const LOCALS_MAX: u64 = 10_000;
/// The product of bytes and local variables of one function: compiling it takes time and memory in proportion. Python has 4 million.
const BODY_TIMES_LOCALS_MAX: u64 = 1 << 25;
/// Declarations of all sections: types, imports, exports, globals, segments.
const ITEMS_MAX: u64 = 1_000_000;

/// The names of the imports and exports of a component.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Reads the shape of a component. The error is the reason why it is not compiled.
pub(crate) fn read(wasm: &[u8]) -> Result<Surface, String> {
    if wasm.len() as u64 > COMPONENT_BYTES_MAX {
        return Err(format!("its file has more than {} MiB", COMPONENT_BYTES_MAX >> 20));
    }
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(damaged)?;
        reading.take(payload)?;
    }
    Ok(reading.surface)
}

fn damaged(error: wasmparser::BinaryReaderError) -> String {
    format!("the file is damaged or needs a newer program: {error}")
}

fn beyond(what: &str, most: impl TryInto<u64>) -> String {
    let most = most.try_into().unwrap_or(u64::MAX);
    format!("{what}, at most {most} are compiled")
}

/// A module or component that is being read.
#[derive(Default)]
struct Frame {
    is_module: bool,
    /// The steps of each component in the index space, to make one instance of it.
    components: Vec<u64>,
    /// The steps of this component so far.
    steps: u64,
}

/// The pass over a file.
#[derive(Default)]
struct Reading {
    surface: Surface,
    frames: Vec<Frame>,
    /// The next frame is a module.
    module_follows: bool,
    parts: usize,
    functions: usize,
    code_bytes: u64,
    items: u64,
}

impl Reading {
    fn take(&mut self, payload: Payload<'_>) -> Result<(), String> {
        match payload {
            Payload::Version { .. } => return self.begin(),
            Payload::End(_) => return self.end(),
            Payload::ModuleSection { .. } => self.module_follows = true,
            Payload::ComponentSection { .. } => self.module_follows = false,
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(count as usize);
                if self.functions > FUNCTIONS_MAX {
                    return Err(beyond("it has too many functions", FUNCTIONS_MAX));
                }
            }
            Payload::CodeSectionEntry(body) => {
                self.code_bytes = self.code_bytes.saturating_add(check_body(&body)?);
                if self.code_bytes > CODE_BYTES_MAX {
                    return Err(beyond("its functions have too many bytes", CODE_BYTES_MAX));
                }
            }
            Payload::TypeSection(section) => self.declare(section.count())?,
            Payload::ImportSection(section) => self.declare(section.count())?,
            Payload::FunctionSection(section) => self.declare(section.count())?,
            Payload::TableSection(section) => self.declare(section.count())?,
            Payload::GlobalSection(section) => self.declare(section.count())?,
            Payload::ExportSection(section) => self.declare(section.count())?,
            Payload::ElementSection(section) => self.declare(section.count())?,
            Payload::DataSection(section) => self.declare(section.count())?,
            Payload::CoreTypeSection(section) => self.declare(section.count())?,
            Payload::ComponentTypeSection(section) => self.declare(section.count())?,
            Payload::ComponentCanonicalSection(section) => self.step(section.count().into())?,
            Payload::InstanceSection(section) => {
                for instance in section {
                    let arguments = match instance.map_err(damaged)? {
                        Instance::Instantiate { args, .. } => args.len(),
                        Instance::FromExports(exports) => exports.len(),
                    };
                    self.step(1 + arguments as u64)?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let steps = match instance.map_err(damaged)? {
                        ComponentInstance::Instantiate { component_index, args } => self.component(0, component_index)? + args.len() as u64,
                        ComponentInstance::FromExports(exports) => exports.len() as u64,
                    };
                    self.step(steps.saturating_add(1))?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.alias(&alias.map_err(damaged)?)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(damaged)?;
                    if let ComponentTypeRef::Component(_) = import.ty {
                        return Err("it imports a component, which adapters are not granted".to_owned());
                    }
                    if self.frames.len() == 1 {
                        self.surface.imports.push(import.name.name.to_owned());
                    }
                    self.step(1)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export.map_err(damaged)?;
                    if export.kind == ComponentExternalKind::Component {
                        self.add_component(self.component(0, export.index)?);
                    }
                    if self.frames.len() == 1 {
                        self.surface.exports.push(export.name.name.to_owned());
                    }
                    self.step(1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(beyond("it has too many modules and components", PARTS_MAX));
        }
        if self.frames.len() >= DEPTH_MAX {
            return Err(beyond("its components lie within too many others", DEPTH_MAX));
        }
        self.frames.push(Frame { is_module: self.module_follows, ..Frame::default() });
        self.module_follows = false;
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        match self.frames.pop() {
            Some(frame) if !frame.is_module => self.add_component(frame.steps),
            _ => {}
        }
        Ok(())
    }

    /// Counts steps of the present component.
    fn step(&mut self, steps: u64) -> Result<(), String> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.steps = frame.steps.saturating_add(steps);
        if frame.steps > STEPS_MAX { Err(beyond("an instance of it is made in too many steps", STEPS_MAX)) } else { Ok(()) }
    }

    /// Counts declarations.
    fn declare(&mut self, count: u32) -> Result<(), String> {
        self.items = self.items.saturating_add(count.into());
        if self.items > ITEMS_MAX { Err(beyond("it declares too much", ITEMS_MAX)) } else { Ok(()) }
    }

    /// Returns the steps to make an instance of a component in the index space of the present component, or of one `outer` levels above.
    fn component(&self, outer: u32, index: u32) -> Result<u64, String> {
        let frame = self.frames.len().checked_sub(1 + outer as usize).and_then(|at| self.frames.get(at));
        let steps = frame.and_then(|frame| frame.components.get(index as usize)).copied();
        steps.ok_or_else(|| format!("the file is damaged: it has no component {index}"))
    }

    fn add_component(&mut self, steps: u64) {
        if let Some(frame) = self.frames.last_mut() {
            frame.components.push(steps);
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), String> {
        match alias {
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                let steps = self.component(*count, *index)?;
                self.add_component(steps);
            }
            // Its size would be known only to who instantiates it. No tool makes such a thing.
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                return Err("it takes a component out of an instance, which is not supported".to_owned());
            }
            _ => {}
        }
        self.step(1)
    }
}

/// Checks the size of a function, and the number of its variables. Returns the size.
fn check_body(body: &FunctionBody<'_>) -> Result<u64, String> {
    let range = body.range();
    let bytes = range.end.saturating_sub(range.start) as u64;
    if bytes > BODY_BYTES_MAX {
        return Err(beyond("it has a function with too many bytes", BODY_BYTES_MAX));
    }
    let mut locals: u64 = 0;
    for group in body.get_locals_reader().map_err(damaged)? {
        locals = locals.saturating_add(group.map_err(damaged)?.0.into());
    }
    if locals > LOCALS_MAX {
        return Err(beyond("it has a function with too many variables", LOCALS_MAX));
    }
    if locals.saturating_mul(bytes) > BODY_TIMES_LOCALS_MAX {
        return Err("it has a function with too many bytes and variables together".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        Alias, CodeSection, Component, ComponentAliasSection, ComponentInstanceSection, ComponentOuterAliasKind as Kind, Function,
        FunctionSection, Instruction, Module, ModuleSection, NestedComponentSection, TypeSection, ValType,
    };

    /// A component in which another one lies, with that number of instances of it.
    fn around(inner: &Component, instances: usize) -> Component {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(inner));
        outer.section(&instantiate(0, instances));
        outer
    }

    fn instantiate(component: u32, instances: usize) -> ComponentInstanceSection {
        let mut section = ComponentInstanceSection::new();
        for _ in 0..instances {
            section.instantiate(component, Vec::<(String, wasm_encoder::ComponentExportKind, u32)>::new());
        }
        section
    }

    /// A component of one module.
    fn of_module(functions: usize, bytes: usize, locals: u32) -> Component {
        let (mut types, mut kinds, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        types.ty().function([], []);
        for _ in 0..functions {
            kinds.function(0);
            let mut function = Function::new(Some((locals, ValType::I64)).filter(|(locals, _)| *locals > 0));
            for _ in 0..bytes {
                function.instruction(&Instruction::Nop);
            }
            function.instruction(&Instruction::End);
            code.function(&function);
        }
        let mut module = Module::new();
        module.section(&types).section(&kinds).section(&code);
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        component
    }

    fn refused(component: Component) -> String {
        read(&component.finish()).unwrap_err()
    }

    #[test]
    fn nested_components_count_as_often_as_they_are_instantiated() {
        let mut component = Component::new();
        for _ in 0..24 {
            component = around(&component, 2);
        }
        assert!(component.as_slice().len() < 700);
        assert_eq!(refused(component), "its components lie within too many others, at most 10 are compiled");
        let mut wide = Component::new();
        for _ in 0..5 {
            wide = around(&wide, 100);
        }
        assert_eq!(refused(wide.clone()), "an instance of it is made in too many steps, at most 50000 are compiled");
        assert_eq!(read(&around(&Component::new(), 100).finish()), Ok(Surface::default()));
        // By way of an alias: a component beside another one instantiates that.
        let mut beside = Component::new();
        beside.section(&NestedComponentSection(&around(&Component::new(), 300)));
        let mut inner = Component::new();
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::Outer { kind: Kind::Component, count: 1, index: 0 });
        inner.section(&aliases).section(&instantiate(0, 300));
        beside.section(&NestedComponentSection(&inner)).section(&instantiate(1, 1));
        assert_eq!(refused(beside), "an instance of it is made in too many steps, at most 50000 are compiled");
    }

    #[test]
    fn code_that_takes_long_to_compile_is_not_compiled() {
        assert!(read(&of_module(100, 1000, 10).finish()).is_ok());
        assert_eq!(refused(of_module(FUNCTIONS_MAX + 1, 0, 0)), "it has too many functions, at most 60000 are compiled");
        assert_eq!(refused(of_module(1, 1 << 20, 0)), "it has a function with too many bytes, at most 1048576 are compiled");
        assert_eq!(refused(of_module(1, 10, 10_001)), "it has a function with too many variables, at most 10000 are compiled");
        assert_eq!(refused(of_module(1, 600_000, 2_000)), "it has a function with too many bytes and variables together");
        assert_eq!(refused(of_module(49, (1 << 20) - 10, 0)), "its functions have too many bytes, at most 50331648 are compiled");
    }

    #[test]
    fn damage_is_reported_as_such() {
        let whole = of_module(2, 10, 1).finish();
        let mut damaged = 0;
        for end in 8..whole.len() {
            // A file that is cut between two sections is whole to this pass.
            if let Err(reason) = read(&whole[..end]) {
                assert!(reason.starts_with("the file is damaged"), "{end}: {reason}");
                damaged += 1;
            }
        }
        assert!(damaged > whole.len() / 2, "{damaged} of {}", whole.len());
    }
}
