//! The sources of the workspace, parsed: what each function says, calls and makes. Comments are not there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, Token};
use testkit::command::workspace_root;

/// The text of each source file, by its path below `crates`.
pub(crate) type Sources = BTreeMap<String, String>;

/// One function, or a constant, which is used like one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Function {
    pub(crate) file: String,
    /// The type that it is of.
    pub(crate) of: Option<String>,
    /// The trait that it implements there.
    pub(crate) implements: Option<String>,
    pub(crate) name: String,
    /// Whether it is a test, or compiled for tests alone.
    pub(crate) is_test: bool,
    /// Every string in it.
    pub(crate) texts: BTreeSet<String>,
    /// Every name in it.
    pub(crate) words: BTreeSet<String>,
    /// The methods that it calls, each with what it calls them on: `self` and fields of it, or nothing that is known.
    methods: BTreeSet<(Vec<String>, String)>,
    /// The functions and constants that it calls or hands on.
    functions: BTreeSet<String>,
    /// The kinds of event that it makes.
    pub(crate) makes: BTreeSet<String>,
    /// Calls by their path's last name, with the text of the first argument if it is one, and the last argument.
    pub(crate) calls: Vec<Call>,
    /// The strings in the value of each local variable.
    pub(crate) locals: BTreeMap<String, BTreeSet<String>>,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The path, or the method's name with a dot in front.
    pub(crate) path: String,
    /// Of a method, the last name of what it is called on: a variable, a field, or a method with a dot in front.
    pub(crate) on: String,
    /// Its first argument, if that is a text.
    pub(crate) text: Option<String>,
    /// How many arguments it has.
    pub(crate) arguments: usize,
    /// The path that its last argument is, or calls.
    pub(crate) last: String,
    /// What that call is given, if its only argument is a path.
    pub(crate) inner: String,
    /// The calls that it is in an argument of.
    pub(crate) within: Vec<String>,
}

/// Reads every source file below these directories of `crates`.
pub(crate) fn sources(dirs: &[&str]) -> Result<Sources> {
    let root = workspace_root().join("crates");
    let mut found = Sources::new();
    for dir in dirs {
        gather(&root, &root.join(dir), &mut found)?;
    }
    Ok(found)
}

fn gather(root: &Path, dir: &Path, found: &mut Sources) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.strip_prefix(root)?.display().to_string(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// All that these sources have.
#[derive(Clone, Default)]
pub(crate) struct Code {
    pub(crate) functions: Vec<Function>,
    /// The names in the type of each field, by type and field.
    fields: BTreeMap<(String, String), BTreeSet<String>>,
    /// Every name in each file.
    words: BTreeMap<String, BTreeSet<String>>,
}

impl Code {
    /// The same with these files in the place of those of their names.
    pub(crate) fn with(&self, sources: &Sources) -> Result<Self> {
        let mut all = self.clone();
        all.functions.retain(|function| !sources.contains_key(&function.file));
        let new = parse(sources)?;
        all.functions.extend(new.functions);
        all.fields.extend(new.fields);
        all.words.extend(new.words);
        Ok(all)
    }
}

/// Every function of these sources.
pub(crate) fn functions(sources: &Sources) -> Result<Vec<Function>> {
    Ok(parse(sources)?.functions)
}

/// Reads all of it.
pub(crate) fn parse(sources: &Sources) -> Result<Code> {
    let mut all = Code::default();
    for (file, text) in sources {
        let parsed = syn::parse_file(text).with_context(|| file.clone())?;
        let is_test = file.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
        let mut reader = Reader {
            file,
            is_test,
            of: None,
            implements: None,
            open: vec![],
            within: vec![],
            aliases: BTreeMap::new(),
            words: BTreeSet::new(),
            done: Code::default(),
        };
        reader.visit_file(&parsed);
        all.functions.extend(reader.done.functions);
        all.fields.extend(reader.done.fields);
        all.words.insert(file.clone(), reader.words);
    }
    Ok(all)
}

struct Reader<'a> {
    file: &'a str,
    is_test: bool,
    of: Option<String>,
    implements: Option<String>,
    /// The functions that are being read, the innermost last.
    open: Vec<Function>,
    within: Vec<String>,
    /// What names stand for that the file uses.
    aliases: BTreeMap<String, String>,
    words: BTreeSet<String>,
    done: Code,
}

fn path_of(path: &syn::Path) -> String {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or_default()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let is_test = path_of(attribute.path()).split("::").any(|part| part == "test");
        is_test || is_cfg && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn expression_path(expression: &Expr) -> String {
    match expression {
        Expr::Path(path) => path_of(&path.path),
        Expr::Call(call) => expression_path(&call.func),
        Expr::MethodCall(call) => format!(".{}", call.method),
        _ => String::new(),
    }
}

impl Reader<'_> {
    fn within_function(&mut self, name: String, attributes: &[syn::Attribute], read: impl FnOnce(&mut Self)) {
        let (of, implements) = (self.of.clone(), self.implements.clone());
        let is_test = self.is_test || is_for_tests(attributes);
        let open = Function { file: self.file.to_owned(), of, implements, name, is_test, ..Function::default() };
        self.open.push(open);
        read(self);
        self.done.functions.extend(self.open.pop());
    }

    fn unless_for_tests(&mut self, attributes: &[syn::Attribute], read: impl FnOnce(&mut Self)) {
        let before = self.is_test;
        self.is_test |= is_for_tests(attributes);
        read(self);
        self.is_test = before;
    }

    fn note(&mut self, note: impl Fn(&mut Function)) {
        // What a function inside another does, the outer one does.
        self.open.iter_mut().for_each(note);
    }

    fn call(&mut self, path: String, on: String, arguments: &Punctuated<Expr, Token![,]>) {
        let text = match arguments.first() {
            Some(Expr::Lit(literal)) => match &literal.lit {
                syn::Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        };
        let of_last = arguments.last().map(expression_path).unwrap_or_default();
        let inner = match arguments.last() {
            Some(Expr::Call(call)) => call.args.first().map(expression_path).unwrap_or_default(),
            _ => String::new(),
        };
        let path = self.aliases.get(&path).cloned().unwrap_or(path);
        let call =
            Call { arguments: arguments.len(), path, on, text, last: of_last, inner, within: self.within.clone() };
        self.note(|open| open.calls.push(call.clone()));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    // Documentation is an attribute, and no code.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.unless_for_tests(&item.attrs, |reader| visit::visit_item_mod(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = match &*item.self_ty {
            syn::Type::Path(path) => Some(last(&path_of(&path.path)).to_owned()),
            _ => None,
        };
        let implements = item.trait_.as_ref().map(|(_, path, _)| last(&path_of(path)).to_owned());
        let before = (std::mem::replace(&mut self.of, of), std::mem::replace(&mut self.implements, implements));
        self.unless_for_tests(&item.attrs, |reader| visit::visit_item_impl(reader, item));
        (self.of, self.implements) = before;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let name = item.sig.ident.to_string();
        self.within_function(name, &item.attrs, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let name = item.sig.ident.to_string();
        self.within_function(name, &item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.within_function(item.ident.to_string(), &item.attrs, |reader| visit::visit_item_const(reader, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.within_function(item.ident.to_string(), &item.attrs, |reader| visit::visit_item_static(reader, item));
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        flatten(&item.tree, String::new(), &mut self.aliases);
        visit::visit_item_use(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        for (at, field) in item.fields.iter().enumerate() {
            let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
            let mut names = Names::default();
            names.visit_type(&field.ty);
            self.done.fields.insert((item.ident.to_string(), name), names.0);
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.words.insert(ident.to_string());
        self.note(|open| {
            open.words.insert(ident.to_string());
        });
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.note(|open| {
            open.texts.insert(text.value());
        });
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(value)) = (&local.pat, &local.init) {
            let mut inner = Texts::default();
            inner.visit_expr(&value.expr);
            self.note(|open| {
                open.locals.insert(name.ident.to_string(), inner.0.clone());
            });
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let called = (receiver(&call.receiver), call.method.to_string());
        self.note(|open| {
            open.methods.insert(called.clone());
        });
        self.call(format!(".{}", call.method), called_on(&call.receiver), &call.args);
        self.within.push(format!(".{}", call.method));
        visit::visit_expr_method_call(self, call);
        self.within.pop();
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let path = expression_path(&call.func);
        self.call(path.clone(), String::new(), &call.args);
        self.within.push(path);
        visit::visit_expr_call(self, call);
        self.within.pop();
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let path_text = path_of(&path.path);
        self.note(|open| {
            open.functions.insert(path_text.clone());
        });
        self.made(&path.path);
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        self.made(&made.path);
        visit::visit_expr_struct(self, made);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        // What stands there is a pattern.
        let is_pattern = path_of(&item.path) == "matches";
        let body = item.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        match body {
            Ok(body) if !is_pattern => body.iter().for_each(|expression| self.visit_expr(expression)),
            Ok(_) | Err(_) => {
                let tokens = item.tokens.to_string();
                let words: Vec<String> = tokens
                    .split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect();
                self.note(|open| {
                    open.texts.insert(tokens.clone());
                    open.words.extend(words.iter().cloned());
                    open.methods.extend(words.iter().map(|word| (vec![], word.clone())));
                });
            }
        }
    }
}

impl Reader<'_> {
    fn made(&mut self, path: &syn::Path) {
        let text = path_of(path);
        if let Some((of, kind)) = text.rsplit_once("::")
            && last(of) == "Event"
        {
            self.note(|open| {
                open.makes.insert(kind.to_owned());
            });
        }
    }
}

/// `self` and the fields behind it; nothing for what is not that.
fn receiver(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::Path(path) if path.path.is_ident("self") => vec![String::from("self")],
        Expr::Field(field) => {
            let mut before = receiver(&field.base);
            if !before.is_empty() {
                before.push(match &field.member {
                    syn::Member::Named(name) => name.to_string(),
                    syn::Member::Unnamed(index) => index.index.to_string(),
                });
            }
            before
        }
        Expr::Reference(reference) => receiver(&reference.expr),
        Expr::Paren(inner) => receiver(&inner.expr),
        _ => vec![],
    }
}

/// The last name of what a method is called on.
fn called_on(expression: &Expr) -> String {
    match expression {
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(index) => index.index.to_string(),
        },
        Expr::Reference(reference) => called_on(&reference.expr),
        Expr::Paren(inner) => called_on(&inner.expr),
        Expr::Try(inner) => called_on(&inner.expr),
        Expr::Await(inner) => called_on(&inner.base),
        other => last(&expression_path(other)).to_owned(),
    }
}

/// What each name of a `use` stands for.
fn flatten(tree: &syn::UseTree, before: String, aliases: &mut BTreeMap<String, String>) {
    match tree {
        syn::UseTree::Path(path) => flatten(&path.tree, format!("{before}{}::", path.ident), aliases),
        syn::UseTree::Name(name) => drop(aliases.insert(name.ident.to_string(), format!("{before}{}", name.ident))),
        syn::UseTree::Rename(name) => drop(aliases.insert(name.rename.to_string(), format!("{before}{}", name.ident))),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before.clone(), aliases)),
        syn::UseTree::Glob(_) => drop(aliases.insert(format!("{before}*"), before)),
    }
}

/// The names in a type.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.0.insert(ident.to_string());
    }
}

/// The strings of an expression.
#[derive(Default)]
struct Texts(BTreeSet<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.insert(text.value());
    }
}

/// Which functions call which. What a method is called on is known where that is `self` or fields of it; elsewhere it is any
/// method of that name, of a type that the file names.
pub(crate) struct Graph<'a> {
    code: &'a Code,
    functions: Vec<&'a Function>,
    by_name: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Of all that is no test.
    pub(crate) fn of(code: &'a Code) -> Self {
        let functions: Vec<&Function> = code.functions.iter().filter(|function| !function.is_test).collect();
        let mut by_name = BTreeMap::<&str, Vec<usize>>::new();
        for (at, function) in functions.iter().enumerate() {
            by_name.entry(&function.name).or_default().push(at);
        }
        Self { code, functions, by_name }
    }

    /// Everything that these may lead to, themselves included.
    pub(crate) fn reached(&self, from: impl Fn(&Function) -> bool) -> Vec<&'a Function> {
        let mut queue: VecDeque<usize> = (0..self.functions.len()).filter(|at| from(self.functions[*at])).collect();
        let mut seen: BTreeSet<usize> = queue.iter().copied().collect();
        while let Some(at) = queue.pop_front() {
            for next in self.callees(self.functions[at]) {
                if seen.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        seen.into_iter().map(|at| self.functions[at]).collect()
    }

    fn callees(&self, function: &Function) -> BTreeSet<usize> {
        let methods = function.methods.iter().flat_map(|(on, name)| self.methods(function, on, name));
        methods.chain(function.functions.iter().flat_map(|path| self.by_path(function, path))).collect()
    }

    fn named(&self, name: &str) -> Vec<usize> {
        self.by_name.get(name).cloned().unwrap_or_default()
    }

    /// The methods of this name that a call may mean.
    fn methods(&self, function: &Function, on: &[String], name: &str) -> Vec<usize> {
        let mut all = self.named(name);
        let mut types: BTreeSet<String> = function.of.iter().cloned().collect();
        if on.is_empty() || types.is_empty() {
            let words = &self.code.words[&function.file];
            all.retain(|at| self.functions[*at].of.as_ref().is_some_and(|of| words.contains(of)));
            return all;
        }
        for field in &on[1..] {
            let of_field = |of: String| self.code.fields.get(&(of, field.clone())).cloned().unwrap_or_default();
            types = types.into_iter().flat_map(of_field).collect();
        }
        let is_one = |name: &Option<String>| name.as_ref().is_some_and(|name| types.contains(name));
        all.retain(|at| is_one(&self.functions[*at].of) || is_one(&self.functions[*at].implements));
        all
    }

    /// What a path may name: something of a type, or of no type.
    fn by_path(&self, function: &Function, path: &str) -> Vec<usize> {
        let (before, name) = path.rsplit_once("::").unwrap_or(("", path));
        let of = match last(before) {
            "Self" => function.of.clone(),
            of if of.starts_with(char::is_uppercase) => Some(of.to_owned()),
            _ => None,
        };
        let mut all = self.named(name);
        all.retain(|at| self.functions[*at].of == of);
        all
    }
}
