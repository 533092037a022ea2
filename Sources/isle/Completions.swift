import ArgumentParser
import CLIKit
import Client
import WireTypes

/// Names that the shell offers, asked from the daemon by the hidden verb `complete`.
enum Completions {
    static let instances = CompletionKind.shellCommand("isle complete instances 2>/dev/null")
    static let images = CompletionKind.shellCommand("isle complete images 2>/dev/null")
    static let networks = CompletionKind.shellCommand("isle complete networks 2>/dev/null")
    static let profiles = CompletionKind.shellCommand("isle complete profiles 2>/dev/null")
    static let volumes = CompletionKind.shellCommand("isle complete volumes 2>/dev/null")
    static let pools = CompletionKind.shellCommand("isle complete pools 2>/dev/null")
    static let kernels = CompletionKind.shellCommand("isle complete kernels 2>/dev/null")
}

/// `isle complete WHAT`: names, one a line, nothing on errors.
struct Complete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Names for the shell's completion.", shouldDisplay: false)

    @OptionGroup var global: GlobalOptions
    @Argument var what: String

    func run() throws {
        let client = global.client
        client.answerTimeout = 2
        let names: [String]
        switch what {
        case "instances":
            names = try client.get([String].self, Endpoint(["instances"])).map(last)
        case "images":
            names = try client.get([API.Image].self, Endpoint(["images"], query: [("recursion", "1")]))
                .flatMap { $0.references ?? $0.aliases.map(\.name) }.map(ImageNames.short)
        case "networks": names = ["none", "host"] + (try client.get([String].self, Endpoint(["networks"])).map(last))
        case "profiles": names = try client.get([String].self, Endpoint(["profiles"])).map(last)
        case "volumes":
            names = try client.get([String].self, Endpoint(["storage-pools", "default", "volumes", "custom"])).map(last)
        case "pools": names = try client.get([String].self, Endpoint(["storage-pools"])).map(last)
        case "kernels": names = try client.get([API.Kernel].self, Endpoint(["kernels"])).map(\.version)
        default: names = []
        }
        Output(options: global).lines(names.sorted().map(PlainText.escaped))
    }

    private func last(_ path: String) -> String {
        String(path.split(separator: "/").last?.prefix { $0 != "?" } ?? "")
    }
}

/// `isle completion SHELL`.
struct Completion: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the completion script of a shell.",
        discussion: """
            Examples:
              isle completion bash > /etc/bash_completion.d/isle
              isle completion zsh > "${fpath[1]}/_isle"
              isle completion fish > ~/.config/fish/completions/isle.fish
            """)

    enum ShellName: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }
    @Argument(help: "bash, zsh or fish.") var shell: ShellName

    func run() throws {
        let kind: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        let script = Isle.completionScript(for: kind)
        // Fish asks for each word by itself and has no such functions.
        Style.output.write((shell == .fish ? script : CompletionAliases.add(to: script, zsh: shell == .zsh)) + "\n")
    }
}
