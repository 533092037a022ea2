import Glibc

/// Lines for a person on standard error, marked as not the guest's own.
enum Report {
    static func line(_ text: String) {
        let bytes = Array(("isle-wasm: " + text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}
