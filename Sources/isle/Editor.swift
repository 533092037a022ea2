import CHost
import CLIKit
import Client
import Glibc

/// The user's editor.
enum Editor {
    /// `text` as it is after the user edited it.
    static func edit(_ text: String, suffix: String) throws -> String {
        var template =
            Array((Environment["TMPDIR"] ?? "/tmp").utf8CString.dropLast()) + Array("/isle-XXXXXX\(suffix)".utf8CString)
        let descriptor = mkstemps(&template, Int32(suffix.utf8.count))
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard descriptor >= 0 else {
            throw ClientError(.local, "no temporary file can be made at \(path): \(String(cString: strerror(errno)))")
        }
        defer { unlink(path) }
        let bytes = Array(text.utf8)
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        guard written == bytes.count else {
            throw ClientError(.local, "\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        let editor = Environment["VISUAL"] ?? Environment["EDITOR"] ?? "vi"
        // Through the shell, since the variable may hold arguments too.
        let status = runForeground(["sh", "-c", "exec \(editor) \"$1\"", "sh", path])
        guard status == 0 else {
            throw ClientError(.local, "the editor '\(editor)' ended with \(status)", hint: "set $EDITOR")
        }
        return try LocalFile.text(path, "the edited file")
    }

    /// Whether the user wants to edit once more.
    static func asksAgain() -> Bool {
        Style.error.write("Press Enter to edit it again, Ctrl-C to give up. ")
        return readLine() != nil
    }

    private static func runForeground(_ arguments: [String]) -> Int32 {
        var pointers = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return isle_cli_run_foreground(arguments[0], pointers)
    }
}
