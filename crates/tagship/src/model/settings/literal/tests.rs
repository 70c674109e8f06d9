//! The reader of literals against Python's own `ast.literal_eval`, and against input that is meant to hurt.

use super::*;
use proptest::char;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::io::Write;
use std::process::{Command, Stdio};

/// What Python says to each source: the value, or nothing if it refuses. One process for all.
fn literal_eval(sources: &[String]) -> Vec<Option<Value>> {
    const PROGRAM: &str = "
import ast, json, sys
for line in sys.stdin:
    try:
        print(json.dumps([ast.literal_eval(json.loads(line).strip())], allow_nan=False))
    except Exception:
        print('[]')
";
    let mut python = Command::new("python3")
        .args(["-W", "ignore", "-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    let mut stdin = python.stdin.take().expect("piped");
    let lines: String = sources.iter().map(|source| format!("{}\n", Value::from(source.as_str()))).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().expect("python3 ends");
    writer.join().expect("no panic").expect("python3 reads all");
    let answers: Vec<Option<Value>> = String::from_utf8(output.stdout)
        .expect("ASCII")
        .lines()
        // Half a character, which Python's strings can hold, is no JSON for us: as good as refused.
        .map(|line| serde_json::from_str::<Vec<Value>>(line).ok().and_then(|mut answer| answer.pop()))
        .collect();
    assert_eq!(answers.len(), sources.len());
    answers
}

/// As Python's answer comes here: a number with many digits is read a little less exactly from JSON than from settings.
fn told(value: &Value) -> Value {
    serde_json::from_str(&value.to_string()).expect("JSON")
}

fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        4 => Just(" ".to_owned()),
        2 => Just("\n    ".to_owned()),
        1 => Just("\r\n\t".to_owned()),
        1 => Just(" \\\n ".to_owned()),
        1 => Just("  # it's \"a\" comment: 주석 {[(\n".to_owned()),
    ]
}

/// One character of a string, as written inside quotes of either kind.
fn escaped() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => char::range(' ', '~').prop_filter("escaped below", |c| !"'\"\\".contains(*c)).prop_map(String::from),
        3 => char::range('가', '힣').prop_map(String::from),
        1 => char::any().prop_filter("escaped below", |c| !"\0\r\n'\"\\".contains(*c)).prop_map(String::from),
        2 => prop::sample::select(vec![r"\n", r"\t", r"\\", r"\'", r#"\""#, r"\x41", r"\101", r"\0", r"\777",
            r"\ud55c", r"\U0001f600", "\\\n", r"\d", r"\{", r"\a\b\f\v"])
            .prop_map(str::to_owned),
    ]
}

/// Parsed once: a pattern given as text is parsed for every sample.
fn pattern(pattern: &str) -> impl Strategy<Value = String> + use<> {
    prop::string::string_regex(pattern).expect("a pattern")
}

fn string_part() -> impl Strategy<Value = String> {
    let quote = prop::sample::select(vec!["'", "\"", "'''", "\"\"\""]);
    let plain = (prop::sample::select(vec!["", "", "u", "U"]), quote.clone(), prop::collection::vec(escaped(), 0..8))
        .prop_map(|(prefix, quote, content)| format!("{prefix}{quote}{}{quote}", content.concat()));
    let raw = (prop::sample::select(vec!["r", "R"]), quote, pattern("[a-z0-9가-힣 \\\\(){}#]{0,8}[a-z]"))
        .prop_map(|(prefix, quote, content)| format!("{prefix}{quote}{content}{quote}"));
    let multiline = (prop::sample::select(vec!["'''", "\"\"\""]), pattern("([a-z#가 '\"]{0,5}(\n|\r\n|\r)){1,3}[a-z]"))
        .prop_filter("no end inside", |(quote, content)| !content.contains(quote) && !content.starts_with(quote))
        .prop_map(|(quote, content)| format!("{quote}{content}{quote}"));
    prop_oneof![4 => plain, 1 => raw, 1 => multiline]
}

fn string() -> impl Strategy<Value = String> {
    prop::collection::vec((string_part(), gap()), 1..3)
        .prop_map(|parts| parts.into_iter().map(|(part, gap)| format!("{part}{gap} ")).collect())
}

fn number() -> impl Strategy<Value = String> {
    let digits = prop_oneof![
        3 => (0..100_000_u32).prop_map(|n| n.to_string()),
        1 => (0..=i64::MAX).prop_map(|n| n.to_string()),
        1 => any::<u32>().prop_map(|n| format!("{n:#x}")),
        1 => any::<u16>().prop_map(|n| format!("0o{n:o}")),
        1 => any::<u8>().prop_map(|n| format!("{n:#b}")),
        1 => Just("1_000_000".to_owned()),
        // Few digits: serde_json, which reads Python's answer, rounds many a little differently.
        2 => (0..100_000_u32, 0..1_000_u32).prop_map(|(whole, part)| format!("{whole}.{part}")),
        1 => prop::sample::select(vec!["1.", ".5", "1e3", "2.5E-3", "1_0.0_1", "0.1", "00"]).prop_map(str::to_owned),
    ];
    (prop::sample::select(vec!["", "", "", "-", "+", "- "]), digits)
        .prop_map(|(sign, digits)| format!("{sign}{digits}"))
}

fn literal() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        2 => number(),
        1 => prop::sample::select(vec!["True", "False", "None"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let items = prop::collection::vec((gap(), inner.clone(), gap()), 0..5).prop_map(|items| {
            items.into_iter().map(|(before, item, after)| format!("{before}{item}{after},")).collect()
        });
        let bracketed = (prop::sample::select(vec![("[", "]"), ("(", ")")]), items, any::<bool>(), gap()).prop_map(
            |((open, close), items, trailing, gap): (_, String, _, _)| {
                // A tuple of one needs its comma.
                let items = if trailing || open == "(" { &items } else { items.trim_end_matches(',') };
                format!("{open}{items}{gap}{close}")
            },
        );
        prop_oneof![bracketed, dict(inner.clone()), (gap(), inner).prop_map(|(gap, inner)| format!("({gap}{inner})"))]
    })
}

fn dict(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec((gap(), string(), gap(), value, gap()), 0..5), gap(), any::<bool>()).prop_map(
        |(items, gap, trailing)| {
            let items: Vec<String> =
                items.into_iter().map(|(a, key, b, value, c)| format!("{a}{key}:{b}{value}{c}")).collect();
            let comma = if trailing && !items.is_empty() { "," } else { "" };
            format!("{{{}{comma}{gap}}}", items.join(","))
        },
    )
}

fn samples(strategy: impl Strategy<Value = String>, count: usize) -> Vec<String> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a sample").current()).collect()
}

fn dict_of(entries: Vec<(String, Literal)>) -> Value {
    Literal::Dict(entries).json()
}

#[test]
fn reads_what_python_reads() {
    let mut sources = samples(dict(literal()), 1_000);
    sources.push("{}".to_owned());
    sources.push("{\n  'SUBNET': \"['subnet-1','subnet-2']\", # two\n  'COUNT': '2',\n}\n".to_owned());
    sources.push("  \n\t{'a': u'한' r'\\d' '''글\r\n''', }  ".to_owned());
    let mut accepted = 0;
    for (source, expected) in sources.iter().zip(literal_eval(&sources)) {
        let read = entries(source).map(dict_of).map(|read| told(&read));
        match expected {
            Some(expected) => {
                accepted += 1;
                assert_eq!(read.as_ref(), Ok(&expected), "{source}");
            }
            None => assert!(read.is_err(), "Python refuses this: {source}"),
        }
    }
    assert!(accepted * 10 > sources.len() * 9, "only {accepted} of {} sources are Python", sources.len());
}

/// Whatever a slip of the finger makes of a literal: we never read what Python doesn't, nor differently.
#[test]
fn reads_no_more_than_python() {
    let slip = (dict(literal()), any::<prop::sample::Index>(), prop::option::of(pattern("[ -~가\n]")), any::<bool>());
    let slipped = slip.prop_map(|(source, index, insert, delete)| {
        let mut chars: Vec<char> = source.chars().collect();
        let at = index.index(chars.len());
        if delete {
            chars.remove(at);
        }
        if let Some(insert) = insert {
            chars.splice(at..at, insert.chars());
        }
        chars.into_iter().collect()
    });
    let sources = samples(slipped, 1_000);
    let mut read_both = 0;
    for (source, expected) in sources.iter().zip(literal_eval(&sources)) {
        if let Ok(read @ Literal::Dict(_)) = value(source) {
            assert_eq!(Some(told(&read.json())), expected, "{source:?}");
            read_both += 1;
        }
    }
    assert!(read_both > 100, "only {read_both} slips left a literal: too few to compare");
}

#[test]
fn explains_what_it_refuses() {
    #[track_caller]
    fn check(source: &str, complaint: &str) {
        match entries(source) {
            Ok(read) => panic!("{source} was read as {read:?}"),
            Err(Illegible { complaint: told, places }) => {
                assert!(told.contains(complaint), "{source}: {told}");
                // Each says where, and both the same.
                let line = |text: &str| text.split("line ").skip(1).map(|at| at[..1].to_owned()).collect::<Vec<_>>();
                assert_eq!((line(&told).len(), line(&told)), (2, line(&places)), "{source}: {told}; {places}");
            }
        }
    }
    check("", "at line 1 column 1");
    check("'text'", "no dictionary at line 1 column 1");
    check("['a']", "no dictionary");
    check("{'a': 1", "at line 1");
    check("{'a': 'b\n}", "at line 1 column 7");
    check("{\n 'a': true}", "true is JSON's: write True, False or None at line 2 column 7");
    check("{'a': subnet}", "text without quotes at line 1 column 7");
    check("{a: 1}", "a key must be a string at line 1 column 2");
    check("{1: 1}", "a key must be a string");
    check("{'a': print('x')}", "`(` is no part of a literal (only strings, numbers");
    check("{'a': print('x')}", "are accepted) at line 1 column 12");
    check("{'a': 'b',\n # none\n 'c': 'd' + 'e'}", "are accepted) at line 3 column 11");
    check("{'a': f'{x}'}", "is no part of a literal");
    check("{'a': [1][0]}", "is no part of a literal");
    check("{'a': 1 + 1}", "is no part of a literal");
    check("{'a': --1}", "is no part of a literal");
    check("{**{}}", "is no part of a literal");
    check("{'a': lambda: 1}", "is no part of a literal");
    check("{'a': ...}", "is no part of a literal");
    check("{'a': [x for x in 'ab']}", "is no part of a literal");
    check("{'a': b'bytes'}", "only strings, numbers");
    check("{'a': {'b', 'c'}}", "only strings, numbers");
    check("{'a': -'b'}", "a sign belongs before a number");
    check("{'a': 1j}", "no number that a setting could have");
    check("{'a': 1e999}", "no number that a setting could have");
    check("{'a': 99999999999999999999}", "no number that a setting could have");
    check(r"{'a': '\ud800'}", "are no characters");
    check(r"{'a': '\N{BULLET}'}", "write the character itself, at line 1 column 1");
    // What can't be seen is named, what can be seen isn't shown.
    check("{'a':\u{a0}1}", "the character NO-BREAK SPACE (U+00A0), which can't be seen: remove it, at line 1 column 6");
    check("{\n\"a\": true,\u{200b} \"b\": 1}", "As JSON: the character ZERO WIDTH SPACE (U+200B)");
    check("{'a': \u{3164}1}", "HANGUL FILLER (U+3164)");
    check("{\u{2018}a\u{2019}: 1}", "LEFT SINGLE QUOTATION MARK (U+2018), write ', at line 1 column 2");
    check("{'a': $}", "a character that no literal has at line 1 column 7");
    let nested = format!("{{'a':\n {}1{}}}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    check(&nested, "nested more than 32 deep at line 2 column 33");
    // Encoded twice, in either way.
    check(r#""{\"a\": 1}""#, "As JSON: encoded twice, the whole is a string");
    check("\"{'a': 1}\"", "encoded twice");
    check("'{\"a\": 1}'", "As Python: encoded twice");
    check("{\"a\": [1, 2}", "As JSON: expected `,` or `]` at line 1 column 12");
}

#[test]
fn keeps_repetitions() {
    let number = |number: i64| Literal::Number(number.into());
    let twice = vec![("a".to_owned(), number(1)), ("a".to_owned(), number(2))];
    let nested = Ok(vec![("b".to_owned(), Literal::List(vec![Literal::Dict(twice.clone())]))]);
    assert_eq!(entries("{'a': 1, 'a': 2}"), Ok(twice.clone()));
    assert_eq!(entries("{\"a\": 1, \"a\": 2}"), Ok(twice));
    assert_eq!(entries("{'b': [{'a': 1, 'a': 2}]}"), nested);
    assert_eq!(entries("{\"b\": [{\"a\": 1, \"a\": 2}]}"), nested);
}

/// On a stack of 1 MB: an overflow would abort the test.
#[test]
fn survives_input_meant_to_hurt() {
    let nested =
        |open: &str, close: &str, times: usize| format!("{{'a': {}1{}}}", open.repeat(times), close.repeat(times));
    assert!(entries(&nested("[", "]", MAX_DEPTH - 1)).is_ok());
    let mut hurtful = vec![nested("[", "]", MAX_DEPTH), nested("(", ")", MAX_DEPTH), nested("{'a':", "}", MAX_DEPTH)];
    for open in [
        "[",
        "(",
        "{",
        "{'a':",
        "{'a':[(",
        "-",
        "- ",
        "not ",
        "~",
        "1+",
        "1-",
        "1,",
        "'a'",
        "'a' ",
        "f'{",
        "f(",
        "a.",
        "a[",
        "[1][",
        "lambda:",
        "1 if 1 else ",
        "await ",
        "*",
        "**",
        "[1 for a in ",
        "'",
        "'''",
        "\\",
        "\\\n",
        "#",
        "\n",
        ":",
        ":=",
        ")",
        "(a:=",
        "]",
        "}",
        "\u{feff}",
        "\0",
        "`",
        "$",
        "\"\\N{",
        "\\u",
        "0x",
        "1_",
        "1e",
        "@",
    ] {
        let times = MAX_BYTES / open.len() - 8;
        hurtful.push(nested(open, "", times));
        hurtful.push(open.repeat(times));
        hurtful.push(open.repeat(times * 2));
    }
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            for source in &hurtful {
                let read = entries(source);
                let harmless = source.starts_with("{'a': \n") || source.starts_with("{'a': \\\n");
                assert!(read.is_err() || harmless, "{}… was read", source.chars().take(40).collect::<String>());
            }
        })
        .expect("a thread")
        .join()
        .expect("no panic");
}
