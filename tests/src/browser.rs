//! A headless browser, driven over its own protocol: `command ──▶ answer`, and what happened on the page meanwhile.
//!
//! The protocol (Chrome DevTools Protocol) goes over two pipes: messages in JSON, each with a NUL behind it.

use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// Those of the machine that change nothing but how it is looked at, and what keeps it from talking to anybody.
const OPTIONS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-crash-reporter",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    sent: u64,
    session: Option<String>,
    /// Everything that the browser told without being asked.
    told: Vec<Value>,
    directory: TempDir,
}

impl Browser {
    /// Starts the browser whose files `KTSTR_BROWSER` names: out of a distribution's packages the program and its data, the loader, the
    /// libraries, fonts.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn start() -> Self {
        let named = std::env::var("KTSTR_BROWSER").expect("KTSTR_BROWSER names the browser");
        let here = std::env::current_dir().expect("a directory");
        let files: Vec<PathBuf> = named.split_whitespace().map(|file| here.join(file)).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let program = assemble(&files, directory.path());
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        // The browser takes its two pipes as the files 3 and 4.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2", "sh"])
            .arg(&program)
            .args(OPTIONS)
            .arg(format!("--browser-subprocess-path={}", program.display()))
            .arg(format!("--user-data-dir={}", directory.path().join("user").display()))
            .env("FONTCONFIG_FILE", directory.path().join("fonts.conf"))
            .env("HOME", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("starts");
        let (to, from) = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let mut browser = Self { child, to, from, sent: 0, session: None, told: Vec::new(), directory };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached =
            browser.ask("Target.attachToTarget", &json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Panics
    /// If the browser refuses it, or ends.
    pub fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("takes commands");
        loop {
            let mut answer = self.next(method);
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.told.push(answer);
        }
    }

    fn next(&mut self, wanted: &str) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).expect("reads");
        if message.pop().is_none() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            panic!("the browser ended before {wanted}:\n{log}");
        }
        serde_json::from_slice(&message).expect("JSON")
    }

    /// Opens an address and waits until the page is there.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open(&mut self, address: &str) {
        self.told.clear();
        let went = self.ask("Page.navigate", &json!({ "url": address }));
        assert!(went.get("errorText").is_none(), "{went}");
        // Another place of the same page is not loaded.
        let loads = went.get("loaderId").is_some();
        while loads && !self.told.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next("Page.loadEventFired");
            self.told.push(event);
        }
    }

    /// How large the window is, and what colours its user likes: `light` or `dark`.
    pub fn look(&mut self, width: u32, height: u32, scheme: &str) {
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// The value of an expression on the page, once it has been drawn.
    ///
    /// # Panics
    /// If the expression fails.
    pub fn value(&mut self, expression: &str) -> Value {
        let drawn = format!(
            "new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go))).then(() => ({expression}))"
        );
        let mut answer =
            self.ask("Runtime.evaluate", &json!({ "expression": drawn, "returnByValue": true, "awaitPromise": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// The texts of all elements of a kind.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let texts =
            self.value(&format!("[...document.querySelectorAll({selector:?})].map(found => found.textContent)"));
        serde_json::from_value(texts).unwrap_or_default()
    }

    /// A mouse event: `mouseMoved`, `mousePressed`, `mouseReleased`.
    pub fn mouse(&mut self, kind: &str, x: f64, y: f64) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        self.ask(
            "Input.dispatchMouseEvent",
            &json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 }),
        );
    }

    /// A turn of the wheel with Ctrl held down.
    pub fn ctrl_wheel(&mut self, x: f64, y: f64, by: f64) {
        const CTRL: u32 = 2;
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by, "modifiers": CTRL });
        self.ask("Input.dispatchMouseEvent", &event);
    }

    /// A key, with the text that it types, if it does.
    pub fn key(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        self.ask("Input.dispatchKeyEvent", &json!({ "type": "keyDown", "key": key, "text": text }));
        self.ask("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": key }));
    }

    /// What the page asked for since it was opened, by address.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let requests = self.told.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Exceptions of scripts, and whatever the browser complains of, since the page was opened.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let kinds = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let of_kind = |event: &&Value| event["method"].as_str().is_some_and(|method| kinds.contains(&method));
        self.told.iter().filter(of_kind).map(Value::to_string).collect()
    }

    /// Writes a picture of the whole page.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn picture(&mut self, file: &Path) {
        self.value("null");
        let taken = self.ask("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let png = from_base64(taken["data"].as_str().expect("a picture"));
        assert!(png.starts_with(b"\x89PNG"), "no picture");
        std::fs::write(file, png).expect("writes");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script that starts a browser by the loader that came with it. The browser looks for its data beside the program that runs, which is the
/// loader, and runs itself again by the path that it is told.
fn assemble(files: &[PathBuf], directory: &Path) -> PathBuf {
    let real = |file: &PathBuf| std::fs::canonicalize(file).expect("is there");
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    let program = files.iter().find(|file| name(file) == "chromium-headless-shell").expect("the program");
    let home = program.parent().expect("a directory");
    for file in files.iter().filter(|file| file.starts_with(home)) {
        let beside = directory.join(file.strip_prefix(home).expect("is below"));
        std::fs::create_dir_all(beside.parent().expect("a directory")).expect("a directory");
        std::os::unix::fs::symlink(real(file), beside).expect("links");
    }
    let loader = files.iter().find(|file| name(file).starts_with("ld-linux")).expect("the loader");
    std::fs::copy(loader, directory.join("loader")).expect("copies");
    let is_library = |file: &&PathBuf| !file.starts_with(home) && name(file).contains(".so");
    let mut libraries: Vec<String> =
        files.iter().filter(is_library).map(|file| file.parent().expect("a directory").display().to_string()).collect();
    libraries.sort();
    libraries.dedup();
    let font = files.iter().find(|file| name(file).ends_with(".ttf")).expect("a font");
    let fonts = font.parent().expect("a directory").display();
    let cache = directory.join("fonts").display().to_string();
    let fonts = format!("<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>\n");
    std::fs::write(directory.join("fonts.conf"), fonts).expect("writes");
    let script = directory.join("browser");
    let at = directory.display();
    let text = format!(
        "#!/bin/sh\nexec {at}/loader --library-path {} {at}/chromium-headless-shell \"$@\"\n",
        libraries.join(":")
    );
    std::fs::write(&script, text).expect("writes");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("is made executable");
    script
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let group = |digits: &[u8]| {
        let bits = digits.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - digits.len()));
        bits.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
