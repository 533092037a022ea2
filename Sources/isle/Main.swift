import ArgumentParser
import CLIKit
import Client
import Glibc

/// The program `isle`.
@main
enum Main {
    static func main() {
        // A reader that goes away (`isle list | head`) is noticed by the failing write.
        signal(SIGPIPE, SIG_IGN)
        let arguments = GlobalOptions.hoist(Array(CommandLine.arguments.dropFirst()))
        // Of the program itself, as others have it; for each verb too, it would be noise in its help.
        if arguments == ["--version"] { return print(Version.number) }
        do {
            var command = try QuickParse.command(arguments) ?? Isle.parseAsRoot(arguments)
            try command.run()
            fflush(nil)
        } catch {
            fflush(nil)
            Failure.exit(with: error, arguments: arguments)
        }
    }
}

/// Parses the verbs that programs call in a loop without building the tree of all verbs, which takes longer than
/// the answer of the daemon.
enum QuickParse {
    private static let verbs: [String: any ParsableCommand.Type] = [
        "run": Run.self, "launch": Launch.self, "create": Create.self, "list": List.self, "ls": List.self,
        "ps": List.self, "info": Info.self, "start": Start.self, "stop": Stop.self, "delete": Delete.self,
        "rm": Delete.self, "exec": Exec.self, "logs": Logs.self, "wait": Wait.self, "version": Version.self,
        "complete": Complete.self,
    ]

    /// The command; nil where the whole tree is needed: for other verbs, for help, and to say what is wrong.
    static func command(_ arguments: [String]) -> (any ParsableCommand)? {
        guard let verb = arguments.first.flatMap({ verbs[$0] }), !arguments.contains("-h"),
            !arguments.contains("--help")
        else { return nil }
        return try? verb.parseAsRoot(Array(arguments.dropFirst()))
    }
}

/// The root of all verbs.
struct Isle: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "isle",
        abstract: "Run application containers, system containers, virtual machines and WASM modules.",
        discussion: """
            Examples:
              isle run --rm alpine echo hello          run a program and show its output
              isle run -it debian bash                 run it at this terminal
              isle launch debian/bookworm box          a system container named box
              isle launch --vm debian/bookworm vm      the same image as a virtual machine
              isle run hello.wasm                      a WASM module from a file
              isle shell box                           log in
              isle list                                what there is

            Exit codes: run, exec and shell end as the program ended; with 125 if Isle
            failed before it ran, 126 if it cannot be executed, 127 if it was not found.
            Other commands: 1 on failure, 2 if the command line is wrong.
            isle --version shows the version of this program.
            """,
        groupedSubcommands: [
            CommandGroup(
                name: "Instances",
                subcommands: [
                    Run.self, Launch.self, Create.self, List.self, Info.self, Start.self, Stop.self, Restart.self,
                    Kill.self, Pause.self, Resume.self, Rename.self, Copy.self, Move.self, Snapshot.self, Export.self,
                    Import.self,
                    Delete.self,
                    Wait.self, Config.self, Top.self,
                ]),
            CommandGroup(
                name: "Programs inside",
                subcommands: [Exec.self, Shell.self, Attach.self, Console.self, Logs.self]),
            CommandGroup(
                name: "Projects of several services", subcommands: [StackCommand.self]),
            CommandGroup(
                name: "Images, networks, storage",
                subcommands: [
                    Build.self, Commit.self, Changes.self, Image.self, Kernel.self, Network.self, Volume.self,
                    Storage.self, Profile.self, Project.self,
                ]),
            CommandGroup(
                name: "The daemon",
                subcommands: [
                    Daemon.self, Doctor.self, DockerContext.self, Monitor.self, Operations.self, Warnings.self,
                    Version.self, Completion.self,
                    Complete.self,
                ]),
        ])
}
