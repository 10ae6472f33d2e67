"""Eigenpairs, Laplacians, neighbours and ZoomOut beside peers: time, memory, residuals, failures, growth with size.

    python -m benchmarks.spectral --quick                          # a minute: does everything run?
    python -m benchmarks.spectral --only eigenpairs --out results  # one family, tables and pictures to a folder
    python -m benchmarks.spectral --figures                        # the cases that the project has set itself, and the verdict
    python -m benchmarks.spectral --data FOLDER                    # a folder of real meshes

Every measurement is a process of its own, held to ``--threads`` cores, on a problem that was prepared once and is
the same for all. One yardstick judges all methods of a family. What fails, is stopped or is not
installed is a row too. Runs into one ``--out`` folder add up to one table.
"""
