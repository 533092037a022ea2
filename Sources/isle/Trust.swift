import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle config trust`: which remote clients the daemon takes.
struct ConfigTrust: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Remote clients that the daemon trusts.",
        discussion: """
            A client joins by a token that is good once:
              isle config server set core.https_address=:8443
              isle config trust add laptop
              lxc remote add NAME TOKEN          (on the other computer)
            """,
        subcommands: [TrustList.self, TrustAdd.self, TrustShow.self, TrustRemove.self])
}

struct TrustList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List trusted certificates.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["certificates"], query: [("recursion", "1")]))
        let certificates = try answer.decoded(as: [API.Certificate].self)
        try Output(options: global).list(answer, names: certificates.map(\.fingerprint)) {
            var table = Table([
                .init("NAME", minimum: 12), .init("TYPE"), .init("PROJECTS", minimum: 12), .init("FINGERPRINT"),
            ])
            for certificate in certificates {
                let projects = certificate.restricted ? certificate.projects.joined(separator: ", ") : "all"
                table.add(
                    .init(certificate.name), .init(certificate.type), .init(projects),
                    .init(String(certificate.fingerprint.prefix(12))))
            }
            return table
        }
    }
}

struct TrustAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Print a token by which one client can join, or trust a certificate.",
        discussion: """
            Examples:
              isle config trust add laptop
              isle config trust add ci --to build
              isle config trust add prometheus --certificate metrics.crt --type metrics
            """)
    @Argument(help: "A name for the client.") var name: String
    @Option(help: ArgumentHelp("Confine it to this project; may be repeated.", valueName: "name"))
    var to: [String] = []
    @Option(help: ArgumentHelp("Trust the certificate in this file (PEM) instead.", valueName: "file"))
    var certificate: String?
    @Option(help: "client, or metrics: it may read metrics alone.") var type = "client"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.CertificatesPost()
        post.name = name
        post.type = type
        post.restricted = !to.isEmpty
        post.projects = to
        let client = global.client
        if let certificate {
            post.certificate = try LocalFile.text(certificate, "certificate")
            try client.send("POST", Endpoint(["certificates"]), post)
            return Output(options: global).done(name)
        }
        post.token = true
        let operation = try client.start("POST", Endpoint(["certificates"]), post)
        let metadata = JSONValue.object(operation.metadata ?? [:])
        var token = API.CertificateAddToken()
        token.clientName = name
        token.fingerprint = metadata["fingerprint"]?.stringValue ?? ""
        token.addresses = metadata["addresses"]?.arrayValue?.compactMap(\.stringValue) ?? []
        token.secret = metadata["secret"]?.stringValue ?? ""
        token.expiresAt = metadata["expiresAt"]?.stringValue
        Output(options: global).lines([Base64Text.encode(Array(try JSON.encode(token)))])
    }
}

struct TrustShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a certificate.")
    @Argument(help: "Its fingerprint, or the beginning of it.") var fingerprint: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(
            global.client.get(JSONValue.self, Endpoint(["certificates", fingerprint])))
    }
}

struct TrustRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Trust certificates no more.", aliases: ["rm", "delete"])
    @Argument(help: "Fingerprints, or their beginnings.") var fingerprints: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(fingerprints) { fingerprint in
            try client.send("DELETE", Endpoint(["certificates", fingerprint]), nil as API.Empty?)
            Output(options: global).done(fingerprint)
        }
    }
}

/// Base 64 (RFC 4648, section 4).
enum Base64Text {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let padded = Array(group) + [UInt8](repeating: 0, count: 3 - group.count)
            let value = Int(padded[0]) << 16 | Int(padded[1]) << 8 | Int(padded[2])
            for index in 0..<4 {
                out.append(index <= group.count ? digits[value >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
