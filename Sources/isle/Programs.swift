import ArgumentParser
import CLIKit
import Client
import Glibc
import WireTypes

/// What run, exec, shell, attach and console do when their session has ended.
enum Programs {
    /// Says of a session that broke off that the program did not.
    static func goesOn<Value>(_ name: String, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as ClientError where error.kind == .connectionLost {
            throw ClientError(
                .connectionLost, "the daemon went away; instance \(Quantity.quoted(name)) goes on running",
                hint: "isle attach \(name)")
        }
    }

    /// Ends the command as the program ended. Without a known exit code the instance is asked for its own.
    static func exit(_ end: Session.End, name: String, client: IsleClient?) throws {
        switch end {
        case .exited(let code?):
            if code != 0 { throw ExitCode(code) }
        case .exited(nil):
            guard let client else { return }
            let exit = try client.get(API.InstanceWait.self, Endpoint(["instances", name, "wait"]), patient: true)
            if exit.exitCode != 0 { throw ExitCode(exit.exitCode) }
        case .detached:
            if Style.error.isTerminal { Style.error.write("\r\n") }
            Style.error.write("detached; 'isle attach \(PlainText.escaped(name))' comes back\n")
        case .interrupted(let signal):
            throw ExitCode(128 + signal)
        }
    }
}
