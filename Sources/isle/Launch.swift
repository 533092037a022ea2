import ArgumentParser
import CLIKit
import Client

/// `isle launch`.
struct Launch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an instance and start it in the background.",
        discussion: """
            The kind follows from the image: a .wasm file is a module, a disk image a
            machine, an image whose program is an init a system container, any other an
            application. IMAGE is a registry's reference, a suite as debian/bookworm, or
            a file of this machine.

            Examples:
              isle launch debian/bookworm box
              isle launch --vm -c limits.memory=2GiB debian/bookworm vm
              isle launch nginx web -p 8080:80 -v ./site:/usr/share/nginx/html:ro
              isle launch disk.vmdk old --memory 1g
              isle launch alpine sleeper -- sleep infinity
            """)

    @OptionGroup var instance: InstanceOptionGroup
    @OptionGroup(title: "Global options") var global: GlobalOptions
    @Argument(help: "What it is made from.", completion: Completions.images) var image: String
    @Argument(help: ArgumentHelp("The instance's name; else one is made up.", valueName: "name")) var positionalName:
        String?
    @Argument(parsing: .postTerminator, help: "Program and arguments in place of the image's.") var command: [String] =
        []

    func run() throws {
        if let positionalName, let name = instance.name, positionalName != name {
            throw UsageError("two names: \(Quantity.quoted(positionalName)) and --name \(Quantity.quoted(name))")
        }
        var options = try instance.options(image: image, command: command)
        options.name = positionalName ?? instance.name
        let client = global.client
        let name = try Creation(global: global, client: client).make(options, start: true)
        Output(options: global).lines([PlainText.escaped(name)])
    }
}
