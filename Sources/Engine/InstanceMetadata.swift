import FoundationEssentials
import Glibc
import Model

/// What is told about an instance's content, as in the `metadata.yaml` of LXD's images, and which of its files are made
/// from templates.
public struct InstanceMetadata: Sendable, Codable, Hashable {
    public var architecture: String
    /// Seconds since 1970; 0 for none.
    public var creationDate: Int64
    public var expiryDate: Int64
    public var properties: [String: String]
    /// By absolute path inside.
    public var templates: [String: Template]

    /// One file that is made from a template.
    public struct Template: Sendable, Codable, Hashable {
        /// `create`, `copy`, `start`: when it is made.
        public var when: [String]
        /// Leave a file alone that is there already.
        public var createOnly: Bool
        /// Name of the template's file.
        public var template: String
        public var properties: [String: String]

        public init(when: [String], createOnly: Bool, template: String, properties: [String: String]) {
            self.when = when
            self.createOnly = createOnly
            self.template = template
            self.properties = properties
        }
    }

    public init(
        architecture: String, creationDate: Int64 = 0, expiryDate: Int64 = 0, properties: [String: String] = [:],
        templates: [String: Template] = [:]
    ) {
        self.architecture = architecture
        self.creationDate = creationDate
        self.expiryDate = expiryDate
        self.properties = properties
        self.templates = templates
    }

    /// Of an instance whose image said nothing: what is known of it.
    init(_ record: InstanceRecord) {
        let own = record.config.filter { $0.key.hasPrefix("image.") }
        self.init(
            architecture: record.architecture, creationDate: Int64(record.createdAt),
            properties: Dictionary(uniqueKeysWithValues: own.map { (String($0.key.dropFirst(6)), $0.value) }))
    }

    /// As LXD writes it (`metadata.yaml`).
    var document: Metadata {
        .object([
            "architecture": .string(architecture), "creation_date": .integer(creationDate),
            "expiry_date": .integer(expiryDate), "properties": .object(properties.mapValues { .string($0) }),
            "templates": .object(
                templates.mapValues { template in
                    .object([
                        "when": .array(template.when.map { .string($0) }), "create_only": .bool(template.createOnly),
                        "template": .string(template.template),
                        "properties": .object(template.properties.mapValues { .string($0) }),
                    ])
                }),
        ])
    }

    /// - Throws: `invalidArgument` for a path or a name that is not allowed, an unknown moment.
    func check() throws {
        for (path, template) in templates {
            guard path.hasPrefix("/"), path.utf8.count <= 4096, !path.utf8.contains(0),
                !path.split(separator: "/").contains("..")
            else {
                throw EngineError(
                    .invalidArgument, "a template's file \(Names.quoted(path)) is no absolute path without '..'")
            }
            try MetadataFolder.check(template.template)
            if let moment = template.when.first(where: { !["create", "copy", "start", "rename"].contains($0) }) {
                throw EngineError(
                    .invalidArgument,
                    "the template of \(Names.quoted(path)) has the unknown moment \(Names.quoted(moment))",
                    hint: "create, copy, start or rename")
            }
        }
    }
}

/// The metadata and templates of one instance on disk: `metadata.json` and the folder `templates` in its state folder,
/// which only the daemon reaches.
struct MetadataFolder: Sendable {
    /// Bytes of a template at most.
    static let longest = 1 << 20

    let folder: String

    private var file: String { folder + "/metadata.json" }
    private var templates: String { folder + "/templates" }

    /// nil: nothing was ever stored.
    func read() throws -> InstanceMetadata? {
        guard access(file, F_OK) == 0 else { return nil }
        return try JSONDecoder().decode(InstanceMetadata.self, from: Data(contentsOf: URL(filePath: file)))
    }

    func write(_ metadata: InstanceMetadata) throws {
        try metadata.check()
        try JSONEncoder().encode(metadata).write(to: URL(filePath: file), options: .atomic)
    }

    /// Names of the templates, sorted.
    func list() throws -> [String] {
        guard access(templates, F_OK) == 0 else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: templates).filter { !$0.hasPrefix(".") }.sorted()
    }

    func template(_ name: String) throws -> [UInt8] {
        try Self.check(name)
        let path = "\(templates)/\(name)"
        guard access(path, F_OK) == 0 else {
            throw EngineError(.notFound, "there is no template \(Names.quoted(name))")
        }
        return Array(try Data(contentsOf: URL(filePath: path)))
    }

    func setTemplate(_ name: String, _ content: [UInt8]) throws {
        try Self.check(name)
        guard content.count <= Self.longest else {
            throw EngineError(.invalidArgument, "template \(Names.quoted(name)) is longer than \(Self.longest) bytes")
        }
        try Folders.make(templates, mode: 0o700)
        try Data(content).write(to: URL(filePath: "\(templates)/\(name)"), options: .atomic)
    }

    func deleteTemplate(_ name: String) throws {
        try Self.check(name)
        guard unlink("\(templates)/\(name)") == 0 else {
            if errno == ENOENT { throw EngineError(.notFound, "there is no template \(Names.quoted(name))") }
            throw EngineError(
                .internal, "template \(Names.quoted(name)) cannot be removed: \(String(cString: strerror(errno)))")
        }
    }

    /// Gives another instance, which has none, the same.
    func copy(to other: MetadataFolder) throws {
        guard let metadata = try read() else { return }
        try other.write(metadata)
        for name in try list() { try other.setTemplate(name, try template(name)) }
    }

    /// A name becomes part of a path.
    static func check(_ name: String) throws {
        let allowed = name.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
        }
        guard (1...128).contains(name.utf8.count), !name.hasPrefix("."), allowed else {
            throw EngineError(
                .invalidArgument, "template name \(Names.quoted(name)) is not allowed",
                hint: "use 1 to 128 letters, digits, '.', '_' and '-', no dot first")
        }
    }
}
