import LinuxHost
import Model

/// Reads what OCI runtimes say when they cannot run a program, so that a caller can tell "not found" (exit code 127
/// of `docker run`) from "cannot be executed" (126) from a fault.
enum RuntimeFailure {
    /// The error in the engine's words; errors that are not the runtime's own stay as they are.
    static func translate(_ error: any Error, log: String, program: String, workingDirectory: String, instance: String)
        -> EngineError
    {
        guard let error = error as? EngineError else { return EngineError(.internal, "\(error)") }
        guard error.code == .internal else { return error }
        let text = words(log: log) ?? error.message
        let lower = text.lowercased()
        func says(_ parts: String...) -> Bool { parts.contains { lower.contains($0) } }

        if says("chdir", "cwd") {
            let missing = says("no such file")
            return EngineError(
                missing ? .notFound : .invalidArgument,
                "working folder \(Names.quoted(workingDirectory)) "
                    + (missing ? "does not exist in" : "cannot be entered in") + " instance \(instance)",
                hint: "create it or choose another one")
        }
        if says("executable file") && says("not found") || says("executable file not found")
            || says("exec", "open executable") && says("no such file or directory") && !says("mount")
        {
            return EngineError(
                .notFound, "program \(Names.quoted(program)) was not found in instance \(instance)",
                hint: "check the command's spelling and the PATH of the image")
        }
        if says(
            "open executable", "exec container process", "exec format error", "permission denied", "is a directory"),
            says("exec"), !says("mount")
        {
            let why =
                says("exec format error")
                ? "it is not a program for this processor"
                : says("is a directory", "operation not permitted") ? "it is not a program file" : "permission denied"
            return EngineError(
                .invalidArgument, "program \(Names.quoted(program)) cannot be executed in instance \(instance): \(why)")
        }
        return EngineError(
            .internal,
            "the OCI runtime could not run \(Names.quoted(program)) in instance \(instance): \(cleaned(text))")
    }

    /// The words of a runtime's log; nil if there are none.
    static func words(log path: String) -> String? {
        guard let bytes = try? readSmallFile(path), !bytes.isEmpty else { return nil }
        return cleaned(String(decoding: bytes, as: UTF8.self))
    }

    /// The runtime's last line without its log decoration.
    static func cleaned(_ text: String) -> String {
        let line = text.split(separator: "\n").last.map(String.init) ?? text
        return Names.printable(String(line.prefix(500)))
    }
}
