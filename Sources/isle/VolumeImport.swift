import ArgumentParser
import CLIKit
import Client
import Glibc
import Model
import WireTypes

/// `isle volume import`.
struct VolumeImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a volume of a disc image.",
        discussion: """
            A machine that has it as a disk device is shown it in a drive. A machine
            whose own disk is empty boots from it.

            Examples:
              isle volume import debian.iso installer
              isle create --empty --vm --disk 20GiB --name server
              isle config device add server disc disk pool=default source=installer
              isle start server
            """)
    @Argument(help: "The file.", completion: .file()) var file: String
    @Argument(help: "The volume's name; else the file's, without its ending.") var name: String?
    @Option(help: "Its form: iso.") var type = "iso"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        guard type == "iso" else {
            throw UsageError(
                "--type \(Quantity.quoted(type)) is not known", hint: "disks of machines: isle image import")
        }
        let opened = OwnedDescriptor(open(file, O_RDONLY | O_CLOEXEC))
        guard opened.raw >= 0, let size = LocalFile.regularSize(file) else {
            throw ClientError(.local, "\(Quantity.quoted(file)) is not a file that can be read")
        }
        var chosen = LocalFile.name(of: file)
        if chosen.lowercased().hasSuffix(".iso") { chosen = String(chosen.dropLast(4)) }
        let name = name ?? chosen
        let display = ProgressDisplay(quiet: global.quiet || size < 16 << 20)
        var left = size
        let body = HTTPRequest.Body.stream(length: size) {
            if left == 0 { return nil }
            display.show(ProgressLine(stage: "upload", done: size - left, total: size))
            guard let piece = LocalFile.piece(of: opened, most: Int(min(left, 1 << 18))), !piece.isEmpty else {
                throw ClientError(.local, "\(Quantity.quoted(file)) became shorter while it was read")
            }
            left -= Int64(piece.count)
            return piece
        }
        let client = global.client
        let headers = [
            (name: API.VolumeUploadHeader.name, value: name),
            (name: API.VolumeUploadHeader.type, value: API.VolumeUploadHeader.disc),
        ]
        let operation = try client.upload(Volume.endpoint(), headers: headers, body: body)
        display.clear()
        try global.finish(operation, with: client)
        Output(options: global).done(name)
    }
}
