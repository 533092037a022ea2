import DriverKit
import Model

// Files of an instance that are made from templates, while it is at rest.
extension InstanceActor {
    /// Makes the files that are due: those of the first start after creation or copy, and those of every start.
    func applyTemplates(_ merged: MergedConfig) async throws {
        let moment = record.templatesDue
        if record.kind == .system || record.kind == .application, let metadata = try metadataFolder.read() {
            let moments = [moment, "start"].compactMap { $0 }
            let due = moments.flatMap { moment in
                metadata.templates.filter { $0.value.when.contains(moment) }.sorted { $0.key < $1.key }
                    .map { (moment: moment, path: $0.key, template: $0.value) }
            }
            if !due.isEmpty {
                let tree = try await openRestingFiles()
                do {
                    for file in due { try await make(file.path, file.template, file.moment, merged, in: tree) }
                } catch {
                    await tree.close()
                    throw error
                }
                await tree.close()
            }
        }
        // Written down with the start.
        record.templatesDue = nil
    }

    private func make(
        _ path: String, _ template: InstanceMetadata.Template, _ moment: String, _ merged: MergedConfig,
        in tree: any FileTree
    ) async throws {
        let target = GuestPath(path)
        if template.createOnly, try await tree.facts(target, following: true) != nil { return }
        let text: String
        do {
            let source = try TemplateText(
                String(decoding: try metadataFolder.template(template.template), as: UTF8.self))
            var renderer = renderer(path, template, moment, merged)
            text = try renderer.render(source)
        } catch let failure as TemplateFailure {
            throw EngineError(
                .invalidArgument,
                "template \(Names.quoted(template.template)) of instance \(Names.quoted(record.name)) cannot be rendered: \(failure)",
                hint: "lxc config template edit \(record.name) \(template.template)")
        }
        try await makeFolders(target.parent, in: tree)
        let file = try await tree.open(
            target,
            FileOpening(
                writes: true, creates: true, truncates: true,
                attributes: FileChange(permissions: 0o644, user: 0, group: 0)))
        defer { file.close() }
        try await file.write(Array(text.utf8), at: 0)
    }

    /// Makes a folder and those above it where they are missing.
    func makeFolders(_ path: GuestPath, in tree: any FileTree) async throws {
        var folder = GuestPath("")
        for name in path.names {
            folder = folder.appending(name)
            if try await tree.facts(folder, following: true) == nil {
                try await tree.makeDirectory(folder, FileChange(permissions: 0o755, user: 0, group: 0))
            }
        }
    }

    private func renderer(
        _ path: String, _ template: InstanceMetadata.Template, _ moment: String, _ merged: MergedConfig
    ) -> TemplateRenderer {
        let instance: [String: String] = [
            "name": record.name, "type": record.kind == .machine ? "virtual-machine" : "container",
            "architecture": record.architecture, "ephemeral": String(record.ephemeral),
            "privileged": String(merged.flag("security.privileged") ?? false),
        ]
        let config = merged.config
        return TemplateRenderer(
            values: [
                "trigger": .text(moment), "path": .text(path), "instance": TemplateValue(instance),
                "container": TemplateValue(instance), "config": TemplateValue(config),
                "devices": .map(merged.devices.mapValues { TemplateValue($0) }),
                "properties": TemplateValue(template.properties),
            ],
            functions: [
                "config_get": { arguments in
                    guard let key = arguments.first else { return .none }
                    return config[key.printed].map { .text($0) } ?? (arguments.count > 1 ? arguments[1] : .none)
                }
            ])
    }
}
