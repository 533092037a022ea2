import ArgumentParser
import CHost
import CLIKit
import Client
import Glibc

/// `isle docker-context`.
struct DockerContext: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docker-context",
        abstract: "Let docker and its relatives work with this daemon.",
        discussion: """
            Makes a context for the docker client, or changes the one of that name, and prints the
            line that other clients need. With --quiet only the line.

            Examples:
              isle docker-context && docker context use isle
              eval "$(isle docker-context --quiet)"
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions
    @Argument(help: "Name of the context.") var name = "isle"
    @Option(
        help: ArgumentHelp(
            "The daemon's socket for Docker clients; else docker.sock beside its own.", valueName: "path"))
    var dockerSocket: String?

    func run() throws {
        let folder = global.socketPath.split(separator: "/").dropLast().joined(separator: "/")
        let path = dockerSocket ?? "/\(folder)/docker.sock"
        var status = stat()
        guard path.hasPrefix("/"), stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
            throw ClientError(
                .local, "there is no socket at \(Quantity.quoted(path))",
                hint: "start isled, or say where it is with --docker-socket")
        }
        let address = "unix://\(path)"
        if !global.quiet {
            let makes = Self.docker(["context", "inspect", name]) != 0
            let code = Self.docker(
                ["context", makes ? "create" : "update", "--description", "Isle", "--docker", "host=\(address)", name])
            switch code {
            case 0: Style.error.write("docker context use \(PlainText.escaped(name))   uses it from now on\n")
            case 127: Style.error.write("there is no docker client here; others take the line below\n")
            default:
                throw ClientError(
                    .local, "docker context \(makes ? "create" : "update") ended with \(code)",
                    hint: "docker context inspect \(name) shows what is there")
            }
        }
        print("export DOCKER_HOST=\(address)")
    }

    /// The exit code of the docker client; 127 if there is none.
    private static func docker(_ arguments: [String]) -> Int32 {
        // By the shell, for its silence.
        let words = ["sh", "-c", "exec docker \"$@\" >/dev/null 2>&1", "docker"] + arguments
        var pointers = words.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return isle_cli_run_foreground(words[0], pointers)
    }
}
