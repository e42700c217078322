//! `console`: calls of the running node, line by line. On a terminal with history and completion of names, else from
//! the lines of stdin. What the methods do is the node's business; their names come from its OpenRPC document.

use std::io::{self, BufRead, IsTerminal};

use rustyline::{
    CompletionType, Config, Context, Editor, Helper, completion::Completer, error::ReadlineError,
    highlight::Highlighter, hint::Hinter, history::MemHistory, validate::Validator,
};
use serde_json::{Map, Value};

use super::remote::{self, Node, entries, text};
use crate::{
    config::{Listen, nearest},
    exit::{self, Report},
};

/// What the console itself understands, with its help.
const OWN: [(&str, &str); 3] = [
    ("help", "All methods, or help METHOD"),
    ("status", "How the node is"),
    ("exit", "Leave; so do quit and the end of the input"),
];

/// Lines that the arrow keys bring back. They are never written to disk: arguments may be secrets.
const HISTORY: usize = 1000;

/// What a console is made of.
#[derive(Debug)]
pub struct Console {
    /// Name of the daemon, for the prompt.
    pub name: &'static str,
    /// Whom it calls.
    pub node: Node,
    /// Where the node tells how it is.
    pub ops: Listen,
    /// Its methods.
    pub document: Value,
    /// Words that stand for others at the beginning of a line.
    pub shorthands: &'static [(&'static str, &'static str)],
}

impl Console {
    /// Carries out lines until `exit` or the end of the input. False if a line of a script failed.
    ///
    /// # Errors
    /// The terminal or stdout fails; what the node refuses is printed and is none.
    pub fn run(self) -> Result<bool, Report> {
        if io::stdin().is_terminal() { self.interactive().map(|()| true) } else { self.script() }
    }

    fn script(&self) -> Result<bool, Report> {
        let mut well = true;
        for line in io::stdin().lock().lines() {
            match self.answer(&line.map_err(|err| terminal(&err))?) {
                Ok(Some(answer)) => super::print(&answer)?,
                Ok(None) => break,
                Err(report) => {
                    well = false;
                    self.complain(&report);
                }
            }
        }
        Ok(well)
    }

    fn interactive(&self) -> Result<(), Report> {
        let failed = |err: ReadlineError| terminal(&err);
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .auto_add_history(true)
            .max_history_size(HISTORY)
            .map_err(failed)?
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(failed)?;
        editor.set_helper(Some(Names(self.names())));
        super::print("Methods of the running node; `help` lists them, Tab completes, Ctrl-D leaves.\n")?;
        let prompt = format!("{}> ", self.name);
        loop {
            match editor.readline(&prompt) {
                Ok(line) => match self.answer(&line) {
                    Ok(Some(answer)) => super::print(&answer)?,
                    Ok(None) => return Ok(()),
                    Err(report) => self.complain(&report),
                },
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(err) => return Err(failed(err)),
            }
        }
    }

    fn complain(&self, report: &Report) {
        let text = format!("{}\n", report.render(self.name, false));
        let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes()); // nobody to tell
    }

    /// What to print for a line; nothing when it was the last.
    fn answer(&self, line: &str) -> Result<Option<String>, Report> {
        let line = self.spelled_out(line.trim());
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        Ok(Some(match verb {
            "" => String::new(),
            _ if verb.starts_with('#') => String::new(),
            "exit" | "quit" => return Ok(None),
            "status" => remote::status(self.ops, false, None)?.0,
            "help" if rest.trim().is_empty() => self.help(),
            "help" => {
                remote::method_help(&self.document, rest.trim()).ok_or_else(|| self.unknown(rest.trim()))?
            }
            _ => {
                let params = self.params(verb, rest)?;
                // A node may know more than its document, so it is the judge of names, too.
                remote::printed(&self.node.call(verb, &params).map_err(|report| self.hinted(verb, report))?)
            }
        }))
    }

    fn spelled_out(&self, line: &str) -> String {
        let found = self.shorthands.iter().find_map(|(short, long)| {
            let rest = line.strip_prefix(short)?;
            (rest.is_empty() || rest.starts_with(' ')).then(|| format!("{long}{rest}"))
        });
        found.unwrap_or_else(|| line.to_owned())
    }

    fn help(&self) -> String {
        let own = OWN.iter().map(|(name, help)| format!("{name:<40} {help}\n"));
        let short = self.shorthands.iter().map(|(short, long)| format!("{short:<40} = {long}\n"));
        format!(
            "{}{}\nMETHOD [PARAMETER...]: JSON, words, or name=value\n\n{}",
            own.collect::<String>(),
            short.collect::<String>(),
            remote::methods(&self.document)
        )
    }

    fn names(&self) -> Vec<String> {
        let methods = entries(&self.document, "methods").iter().map(|method| text(method, "name"));
        let own = OWN.iter().map(|(name, _)| *name);
        let short = self.shorthands.iter().map(|(short, _)| *short);
        let mut names: Vec<String> = methods.chain(own).chain(short).map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    fn unknown(&self, name: &str) -> Report {
        let report = Report::new(exit::BAD_USAGE, format!("no method is called `{name}`"));
        match nearest(name, self.names().iter().map(String::as_str)) {
            Some(near) => report.advice(format!("did you mean `{near}`?")),
            None => report.advice("`help` names them all"),
        }
    }

    fn hinted(&self, name: &str, report: Report) -> Report {
        let known = self.names().iter().any(|known| known == name);
        if known || report.code() != exit::RPC_FAILED.id {
            report
        } else {
            self.unknown(name).because(&report)
        }
    }

    /// Positional parameters, or named ones if every word is `name=value` with a name of the method.
    fn params(&self, method: &str, words: &str) -> Result<Value, Report> {
        let words = split(words)?;
        let methods = entries(&self.document, "methods");
        let document = methods.iter().find(|known| text(known, "name") == method);
        let names: Vec<&str> = document
            .map(|method| entries(method, "params").iter().map(|param| text(param, "name")).collect())
            .unwrap_or_default();
        let named: Option<Map<String, Value>> = words
            .iter()
            .map(|word| {
                let (name, value) = word.as_str()?.split_once('=')?;
                names.contains(&name).then(|| (name.to_owned(), remote::param(value)))
            })
            .collect();
        Ok(named.filter(|named| !named.is_empty()).map_or(Value::Array(words), Value::Object))
    }
}

/// The words of a line: JSON where a word begins like JSON and ends with it, text in single quotes, or as it is.
fn split(line: &str) -> Result<Vec<Value>, Report> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let mut json = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let used = match json.next() {
            Some(Ok(value)) if rest[json.byte_offset()..].chars().next().is_none_or(char::is_whitespace) => {
                words.push(value);
                json.byte_offset()
            }
            _ if rest.starts_with('\'') => {
                let length = rest[1..].find('\'').ok_or_else(|| {
                    Report::new(exit::BAD_USAGE, "a quotation has no end").at(rest.to_owned())
                })?;
                words.push(Value::from(&rest[1..=length]));
                length + 2
            }
            _ => {
                words.push(Value::from(&rest[..end]));
                end
            }
        };
        rest = rest[used..].trim_start();
    }
    Ok(words)
}

fn terminal(err: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(exit::IO_ERROR, "cannot read from the terminal").because(err)
}

/// Completes the first words of a line, and what follows `help`.
struct Names(Vec<String>);

impl Names {
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = if line.starts_with("help ") { "help ".len() } else { 0 };
        let begun = &line[start..];
        (start, self.0.iter().filter(|name| name.starts_with(begun)).cloned().collect())
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(Self::complete(self, &line[..pos]))
    }
}

impl Helper for Names {}
impl Hinter for Names {
    type Hint = String;
}
impl Highlighter for Names {}
impl Validator for Names {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn console() -> Console {
        let addr = Listen("127.0.0.1:1".parse().unwrap());
        let params = json!([{ "name": "block", "required": true }, { "name": "full" }]);
        let document =
            json!({ "methods": [{ "name": "get_block", "params": params }, { "name": "get_tip" }] });
        let node = Node::new(addr, |_| "/", None, "/nowhere".into());
        Console { name: "demo", node, ops: addr, document, shorthands: &[("show block", "get_block")] }
    }

    #[test]
    fn words_are_json_quotations_or_text() {
        let words = split(r#" 0x10 10 -2 {"a": [1, 2]} [] 'it is' "q r" latest true x' {broken"#).unwrap();
        let expected =
            json!(["0x10", 10, -2, {"a": [1, 2]}, [], "it is", "q r", "latest", true, "x'", "{broken"]);
        assert_eq!(Value::Array(words), expected);
        assert!(split("'no end").is_err());
        assert_eq!(split("").unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn parameters_are_named_only_by_names_of_the_method() {
        let console = console();
        let params = |words| console.params("get_block", words).unwrap();
        assert_eq!(params("block=7 full=true"), json!({ "block": 7, "full": true }));
        assert_eq!(params("block=7 other=true"), json!(["block=7", "other=true"]));
        assert_eq!(params(""), json!([]));
    }

    #[test]
    fn names_are_completed_and_misspelt_ones_answered_with_the_nearest() {
        let console = console();
        let names = Names(console.names());
        assert_eq!(names.complete("get_"), (0, vec!["get_block".to_owned(), "get_tip".to_owned()]));
        assert_eq!(names.complete("help get_b"), (5, vec!["get_block".to_owned()]));
        assert_eq!(names.complete("get_block 1"), (0, vec![]));
        let report = console.answer("help get_tipp").unwrap_err();
        assert!(format!("{report}").contains("get_tipp"), "{report}");
        assert_eq!(console.spelled_out("show block 7"), "get_block 7");
        assert_eq!(console.spelled_out("show blocks"), "show blocks");
        assert_eq!(console.answer("# nothing").unwrap().as_deref(), Some(""));
        assert_eq!(console.answer("quit").unwrap(), None);
    }
}
