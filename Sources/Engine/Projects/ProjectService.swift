import DriverKit
import Logging
public import Model
import StateStore

/// Projects; `default` always exists.
public actor ProjectService {
    private let parts: EngineParts
    private var projects: [String: ProjectRecord] = [:]
    private let lock = KeyedLock<String>()
    private static let collection = "project"

    private var unreadable = UnreadableRecords("project")

    init(parts: EngineParts) { self.parts = parts }

    func load() async throws {
        let (records, unreadable) = try await parts.store.documents(Self.collection, ProjectRecord.self)
        self.unreadable.found(unreadable, parts.logger)
        for record in records { projects[record.name] = record }
        guard projects[ProjectRecord.standard] == nil, !unreadable.contains(ProjectRecord.standard) else { return }
        let config = Dictionary(uniqueKeysWithValues: ProjectFeature.allCases.map { ($0.key, "true") })
        try await save(
            ProjectRecord(name: ProjectRecord.standard, description: "Default Isle project", config: config))
    }

    /// Makes the projects that instances name and that are not there, as after an older version that knew none.
    func adopt(_ names: Set<String>) async throws {
        for name in names where projects[name] == nil && !unreadable.names.contains(name) {
            let config = [ProjectFeature.images, .profiles, .volumes].map { ($0.key, "true") }
            try await save(ProjectRecord(name: name, config: Dictionary(uniqueKeysWithValues: config)))
        }
    }

    /// Those that the requestor may use.
    public func list() -> [ProjectRecord] {
        projects.values.filter { Requestor.mayUse($0.name) }.sorted { $0.name < $1.name }
    }

    /// `notFound` if there is none; `permissionDenied` for one that the requestor may not use.
    public func get(_ name: String) throws -> ProjectRecord {
        try Requestor.check(name)
        guard let project = projects[name] else {
            try unreadable.refuse(name)
            throw EngineError(.notFound, "project \(Names.quoted(name)) does not exist", hint: "isle project list")
        }
        return project
    }

    /// The project whose things of that kind are seen in `project`.
    public func owner(of feature: ProjectFeature, in project: String) -> String {
        projects[project]?.owner(of: feature) ?? project
    }

    public func policy(of project: String) throws -> ProjectPolicy {
        ProjectPolicy(project: try get(project), hostMemory: parts.hostMemory)
    }

    /// `alreadyExists` if the name is taken.
    func create(_ wanted: ProjectRecord) async throws {
        try Self.checkName(wanted.name)
        try unreadable.refuse(wanted.name)
        guard projects[wanted.name] == nil else {
            throw EngineError(.alreadyExists, "project \(Names.quoted(wanted.name)) exists already")
        }
        try ProjectOptions.check(wanted.config)
        var project = wanted
        project.config = wanted.config.filter { !$0.value.isEmpty }
        // As LXD: what is not said is the project's own.
        for feature in [ProjectFeature.images, .profiles, .volumes] where project.config[feature.key] == nil {
            project.config[feature.key] = "true"
        }
        try await save(project)
        parts.events.lifecycle("project-created", "/1.0/projects/\(project.name)", project: project.name)
    }

    func update(_ project: ProjectRecord) async throws {
        try await save(project)
        parts.events.lifecycle("project-updated", "/1.0/projects/\(project.name)", project: project.name)
    }

    /// The project must be empty.
    func rename(_ name: String, to newName: String) async throws {
        try Self.checkName(newName)
        var project = try get(name)
        guard name != ProjectRecord.standard else {
            throw EngineError(.permissionDenied, "the project 'default' cannot be renamed")
        }
        try unreadable.refuse(newName)
        guard projects[newName] == nil else {
            throw EngineError(.alreadyExists, "project \(Names.quoted(newName)) exists already")
        }
        project.name = newName
        try await save(project)
        try await parts.store.deleteDocument(Self.collection, name)
        projects[name] = nil
        parts.events.lifecycle(
            "project-renamed", "/1.0/projects/\(newName)", project: newName, ["old_name": .string(name)])
    }

    /// The project must be empty.
    func remove(_ name: String) async throws {
        _ = try get(name)
        guard name != ProjectRecord.standard else {
            throw EngineError(.permissionDenied, "the project 'default' cannot be deleted")
        }
        try await parts.store.deleteDocument(Self.collection, name)
        projects[name] = nil
        parts.events.lifecycle("project-deleted", "/1.0/projects/\(name)", project: name)
    }

    /// Changes that count against a project's bounds, one after the other.
    nonisolated func withBounds<Result: Sendable>(of project: String, _ body: () async throws -> Result) async throws
        -> Result
    {
        guard try await !policy(of: project).isEmpty else { return try await body() }
        return try await lock.withLock(project, body)
    }

    private func save(_ project: ProjectRecord) async throws {
        try await parts.store.saveDocument(Self.collection, project.name, project)
        projects[project.name] = project
    }

    private static func checkName(_ name: String) throws {
        try Names.checkResource(name, "project")
        guard name != "*", !name.contains("_") else {
            throw EngineError(
                .invalidArgument, "project name \(Names.quoted(name)) is not allowed", hint: "it has an underscore")
        }
    }
}
