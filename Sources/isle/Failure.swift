import ArgumentParser
import CLIKit
import Client
import Glibc
import StackKit
import WireTypes

/// A program in an instance could not be run; `code` is docker run's.
struct NotExecuted: Error {
    var code: Int32
    var cause: any Error
}

/// How errors are shown, and what the program's exit code is then.
enum Failure {
    /// Isle failed before the program ran.
    static let beforeRun: Int32 = 125
    static let cannotExecute: Int32 = 126
    static let commandNotFound: Int32 = 127
    /// The command line is wrong.
    static let usage: Int32 = 2

    /// Shows `error` and ends the process.
    static func exit(with error: any Error, arguments: [String]) -> Never {
        if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
        let runsProgram = ["run", "exec", "shell"].contains(arguments.first)
        let status: Int32
        switch error {
        case let error as ClientError:
            complain(error.description)
            status = runsProgram ? beforeRun : 1
        case let error as UsageError:
            complain(error.description)
            status = runsProgram ? beforeRun : usage
        case let error as StackError:
            complain(error.description)
            status = 1
        case let error as NotExecuted:
            complain("\(error.cause)")
            status = runsProgram ? error.code : 1
        default:
            // Help, version and completion scripts are asked for, and go to standard output.
            guard Isle.exitCode(for: error).isSuccess == false else { Isle.exit(withError: error) }
            complain(usageMessage(error, arguments))
            status = runsProgram ? beforeRun : usage
        }
        Glibc.exit(status)
    }

    /// ArgumentParser's sentence, in one line, with where to read more.
    private static func usageMessage(_ error: any Error, _ arguments: [String]) -> String {
        var message = Isle.message(for: error).split(separator: "\n").joined(separator: " ")
        if message.isEmpty { message = "the command line is incomplete" }
        let verb = arguments.prefix { !$0.hasPrefix("-") }.prefix(2)
        let known = Isle.configuration.subcommands.first { $0._commandName == verb.first }
        let path = known.map { command in
            let inner = verb.dropFirst().first.flatMap { word in
                command.configuration.subcommands.first { $0._commandName == word }?._commandName
            }
            return ([command._commandName] + (inner.map { [$0] } ?? [])).joined(separator: " ") + " "
        }
        return "\(message) (see 'isle \(path ?? "")--help')"
    }

    /// One line on standard error.
    static func complain(_ message: String) {
        let label = Style.error.isColored ? Color.bad.paint("Error:") : "Error:"
        Style.error.write("\(label) \(PlainText.escaped(message))\n")
    }

    /// What an operation did in a lesser way than asked for, a line each on standard error.
    static func warn(_ operation: API.Operation) {
        for warning in operation.metadata?["warnings"]?.arrayValue ?? [] {
            guard let text = warning.stringValue else { continue }
            let label = Style.error.isColored ? Color.warning.paint("warning:") : "warning:"
            Style.error.write("\(label) \(PlainText.escaped(text))\n")
        }
    }

    /// Does the same for each of `names`: errors are shown and the others still done; at last the exit code.
    static func forEach(_ names: [String], _ body: (String) throws -> Void) throws {
        var failed = false
        for name in names {
            do {
                try body(name)
            } catch let error as ClientError where error.kind != .daemonUnavailable && names.count > 1 {
                complain(error.description)
                failed = true
            }
        }
        if failed { throw ExitCode(1) }
    }
}
