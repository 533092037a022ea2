import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle image`.
struct Image: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch, import, show and remove images.",
        discussion: """
            Examples:
              isle image pull alpine:3.20
              isle image import disk.vmdk --name old-server
              isle image build-base debian/trixie
              isle image list
              isle image prune --all
            """,
        subcommands: [
            ImageList.self, ImagePull.self, ImagePush.self, ImageImport.self, ImageBuildBase.self, ImageInspect.self,
            ImageHistory.self, ImageTag.self, ImageAliases.self, ImageRefresh.self, ImageConvert.self, ImageRemove.self,
            ImagePrune.self, ImageSave.self, Build.self,
        ], aliases: ["images"])
}

struct ImageList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List images.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["images"], query: [("recursion", "1")]))
        let images = try answer.decoded(as: [API.Image].self)
        try Output(options: global).list(answer, names: images.map { ImageTable.name($0) }) {
            ImageTable.list(images, now: Now.seconds)
        }
    }
}

struct ImagePull: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Fetch images from a registry.",
        discussion: """
            Examples:
              isle image pull alpine
              isle image pull localhost:5000/team/app:1
              isle image pull --arch arm64 debian
            """)
    @Argument(help: "References.") var references: [String]
    @Option(
        name: [.customLong("arch"), .customLong("architecture")],
        help: ArgumentHelp("Of a multi-platform image: amd64, arm64, …", valueName: "name")) var architecture: String?
    @Option(name: [.customShort("u"), .customLong("username")], help: "User name for the registry.") var username:
        String?
    @Option(help: ArgumentHelp("File with the password; - is standard input.", valueName: "file")) var passwordFile:
        String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let password = try passwordFile.map { try Passwords.read($0) }
        try Failure.forEach(references) { reference in
            var post = API.ImagesPost()
            var source = API.ImagesPostSource()
            source.type = "registry"
            source.reference = reference
            source.architecture = architecture
            source.username = username
            source.password = password
            post.source = source
            let done = try global.finish(client.start("POST", Endpoint(["images"]), post), with: client)
            ImageDone.show(done, named: reference, global)
        }
    }
}

enum Passwords {
    static func read(_ path: String) throws -> String {
        let text = try LocalFile.text(path, "--password-file")
        return String(text.prefix { $0 != "\n" && $0 != "\r\n" })
    }
}

/// What a finished pull or build made.
enum ImageDone {
    static func show(_ operation: API.Operation, named reference: String, _ global: GlobalOptions) {
        let output = Output(options: global)
        guard global.format == .table else {
            // The answer was there a moment ago; what cannot be shown now is no reason to fail.
            return (try? output.value(.object(operation.metadata ?? [:]))) ?? ()
        }
        output.lines([PlainText.escaped(reference)])
    }
}

struct ImagePush: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Send an image to a registry.",
        discussion: "Example: isle image push alpine localhost:5000/mirror/alpine:3.20")
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @Argument(help: "Where to; else its own reference.") var reference: String?
    @Option(name: [.customShort("u"), .customLong("username")], help: "User name for the registry.") var username:
        String?
    @Option(help: ArgumentHelp("File with the password; - is standard input.", valueName: "file")) var passwordFile:
        String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.ImagePushPost()
        post.reference = reference ?? image
        post.username = username
        post.password = try passwordFile.map { try Passwords.read($0) }
        try global.finish(client.start("POST", Endpoint(["images", image, "push"]), post), with: client)
        Output(options: global).done(post.reference)
    }
}

struct ImageImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring files into the store.",
        discussion: """
            OCI layouts and docker-archives as tar, root filesystems as tar with any
            compression, WASM modules, disk images (raw, qcow2, vmdk, vdi, vhd, vhdx,
            ova). What a file is follows from its name unless --type says it.

            Examples:
              isle image import app.tar
              isle image import server.vmdk --name old-server
              isle image import --type raw dump.bin --name disk
            """, aliases: ["load"])
    @Argument(help: "Files.", completion: .file()) var files: [String]
    @Option(name: [.customLong("name"), .customLong("alias")], help: "The reference it gets.") var name: String?
    @Option(help: "oci, docker, rootfs, wasm, raw, qcow2, vmdk, vdi, vpc, vhdx or ova.") var type: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        if name != nil && files.count > 1 { throw UsageError("--name is for one file") }
        let client = global.client
        try Failure.forEach(files) { file in
            let fingerprint = try ImageUpload(global: global, client: client).run(file, reference: name, format: type)
            Output(options: global).lines([PlainText.escaped(name ?? String(fingerprint.prefix(12)))])
        }
    }
}

struct ImageBuildBase: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build-base", abstract: "Build a root filesystem from the distribution's own packages.",
        discussion: """
            Examples:
              isle image build-base debian/bookworm
              isle image build-base ubuntu/noble --variant minbase
            """)
    @Argument(help: "Distribution and suite, as debian/bookworm.") var reference: String
    @Option(help: "minbase, or system with systemd.", completion: .list(["minbase", "system"])) var variant = "system"
    @Option(help: ArgumentHelp("The packages' mirror; else the one of this machine's apt.", valueName: "url"))
    var mirror: String?
    @Option(help: "Further packages; repeatable.") var package: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.ImagesPost()
        var source = API.ImagesPostSource()
        source.type = "bootstrap"
        source.reference = reference
        source.variant = variant
        source.mirror = mirror
        source.packages = package.isEmpty ? nil : package
        post.source = source
        let done = try global.finish(client.start("POST", Endpoint(["images"]), post), with: client)
        ImageDone.show(done, named: reference, global)
    }
}

struct ImageInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show all that is known of images.", aliases: ["info", "show"])
    @Argument(help: "Images.", completion: Completions.images) var images: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(images) { image in
            try Output(options: global).value(client.get(JSONValue.self, Endpoint(["images", image])))
        }
    }
}

struct ImageHistory: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "history", abstract: "Show how an image was made.")
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["images", image, "history"]))
        let steps = try answer.decoded(as: [API.ImageHistoryEntry].self)
        try Output(options: global).list(answer, names: steps.map(\.createdBy)) {
            ImageTable.history(steps, now: Now.seconds)
        }
    }
}
