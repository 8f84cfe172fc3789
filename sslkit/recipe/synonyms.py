"""What other tools call things, by what they are called here: data for the hints of error messages.

Words are in lower case, with ``_`` for ``-``. Every key and flag on the left exists (``tests/test_hints.py``).
"""

from __future__ import annotations

#: Flags of the subcommands.
FLAGS = {
    "--out": "o output output_dir outdir output_path out_dir save_dir save_path savedir log_dir logdir work_dir "
    "workdir exp_dir exp_name experiment run_dir run_name default_root_dir dir folder checkpoint_dir ckpt_dir",
    "--recipe": "r c cfg conf config config_file config_path config_name yaml file",
    "--fresh": "overwrite restart from_scratch force f reset no_resume",
    "--weights": "w pretrained pretrained_weights weight checkpoint_path ckpt pth model_path load_from finetune_from",
    "--which": "checkpoint_key net_name use_ema ema",
    "--print_config": "show_config print_recipe dump_config dry_run",
    "--plugin": "import include user_dir custom_imports",
    "--to": "format export_format",
}

#: Sections and keys of recipes.
KEYS = {
    "train.epochs": "max_epochs num_epochs n_epochs nepochs epoch num_train_epochs train_epochs e",
    "train.batch_size": "bs batch batchsize b batch_size_per_gpu per_gpu_batch_size train_batch_size "
    "per_device_train_batch_size effective_batch_size batch_size_per_device",
    "train.workers": "num_workers n_workers nworkers j jobs data_workers dataloader_num_workers loader_workers",
    "train.device": "cpu cuda no_cuda use_cuda use_gpu accelerator",
    "train.precision": "fp16 bf16 fp32 amp use_fp16 use_amp half mixed_precision dtype autocast",
    "train.micro_batches": "accumulate accum_iter accum_steps grad_accum gradient_accumulation "
    "gradient_accumulation_steps accumulate_grad_batches",
    "train.max_steps": "steps num_steps max_iter max_iters iterations total_steps max_train_steps",
    "train.log_every": "log_interval print_freq log_every_n_steps logging_steps log_freq",
    "train.compile": "torch_compile compile_model",
    "train.threads": "num_threads omp_num_threads",
    "checkpoint.every_epochs": "saveckp_freq save_freq save_every save_every_epochs checkpoint_freq save_interval",
    "checkpoint.keep": "save_top_k save_total_limit keep_last",
    "seed": "random_seed manual_seed rng_seed",
    "optimizer.lr": "learning_rate base_lr blr max_lr peak_lr",
    "optimizer.lr.warmup_epochs": "warmup warmup_epoch lr_warmup lr_warmup_epochs num_warmup_epochs",
    "optimizer.lr.end": "min_lr final_lr lr_min end_lr",
    "optimizer.weight_decay": "wd decay l2 weight_decay_start",
    "optimizer.weight_decay.end": "weight_decay_end",
    "optimizer": "optim opt solver optimiser",
    "data.root": "data_path data_dir data_root data_folder dataset_path dataset_dir train_dir train_path traindir "
    "image_dir image_folder image_path images_dir img_dir input input_dir imagenet_dir imagenet_path",
    "data": "dataset datamodule train_data train_dataset dataset_name",
    "eval_data": "val_data valid_data test_data val_dataset validation_data",
    "backbone.arch": "model_name backbone_name architecture arch_name timm_model",
    "backbone": "model net network encoder base_encoder base_model",
    "backbone.drop_path_rate": "drop_path stochastic_depth droppath",
    "preprocess.size": "img_size image_size input_size resolution imgsz crop_size im_size",
    "preprocess.channels": "in_chans in_channels num_channels n_channels input_channels",
    "augment": "transform transforms aug augmentation augmentations augmenter",
    "augment.local_crops": "local_crops_number n_local_crops num_local_crops local_views n_local_views",
    "augment.global_scale": "global_crops_scale global_crop_scale",
    "augment.local_scale": "local_crops_scale local_crop_scale",
    "augment.global_size": "global_crops_size global_crop_size",
    "augment.local_size": "local_crops_size local_crop_size",
    "head": "projector projection_head proj_head proj",
    "head.out_dim": "output_dim proj_dim projection_dim dim_out num_prototypes n_prototypes nmb_prototypes",
    "head.freeze_last_layer_epochs": "freeze_last_layer",
    "head.use_bn": "use_bn_in_head bn_in_head",
    "teacher": "teacher_rule momentum_encoder target_network",
    "teacher.momentum": "momentum_teacher ema_decay ema_momentum tau base_momentum teacher_momentum",
    "loss": "criterion objective loss_fn loss_function",
    "loss.temperature": "temp softmax_temperature",
    "clip.max_norm": "clip_grad max_grad_norm gradient_clip_val grad_clip clip_norm clip_grad_norm",
    "evaluate": "eval evaluation evaluator evaluators val validate metrics",
    "watch": "logger loggers logging callback callbacks tracker report_to",
    "train": "trainer training",
}  # fmt: skip

#: Flags of other tools that have no counterpart: the subcommand's flag that tells where the sentence holds, and it.
SENTENCES = (
    (
        "resume continue resume_from resume_from_checkpoint auto_resume resume_path restore load_checkpoint "
        "resume_training checkpoint ckpt ckpt_path last_checkpoint",
        "--fresh",
        "leave it out: the same command again continues an unfinished run from its newest checkpoint",
    ),
    ("resume continue restart", "--retry", "leave it out: the same command again continues, and makes what is left"),
    (
        "resume continue resume_from checkpoint ckpt_path load_checkpoint step epoch",
        "--which",
        "name the checkpoint in place of the run, as runs/NAME/checkpoints/step-00000120, or --weights FILE",
    ),
    (
        "gpu gpus gpu_ids gpu_id ngpus n_gpus num_gpus devices nproc_per_node nnodes num_nodes nodes world_size rank "
        "local_rank distributed ddp strategy multi_gpu dist_url dist_backend multiprocessing_distributed",
        "--fresh",
        "torchrun starts a process for each GPU: `torchrun --nproc_per_node=2 -m sslkit fit ...`; "
        "CUDA_VISIBLE_DEVICES=0,1 chooses which, and --train.device cpu trains without one",
    ),
    (
        "gpu gpus gpu_ids devices",
        "--weights",
        "CUDA_VISIBLE_DEVICES=0 chooses the GPU, and --train.device cpu does without one",
    ),
    (
        "scheduler schedule lr_scheduler sched lr_schedule lr_policy",
        "--fresh",
        "a schedule is an option's value, as in --optimizer.lr '{cosine: [0.0005, 0.000001, 10]}'; "
        "`sslkit plugins list schedule` names them",
    ),
    (
        "wandb use_wandb mlflow tensorboard",
        "--fresh",
        "watchers follow a run, and TensorBoard's is on by default: `sslkit plugins list watcher`",
    ),
)  # fmt: skip

#: Values that stand for a choice: pattern of the whole value, a choice of the option, what to say.
VALUES = (
    (r"gpu|nvidia", "cuda", "write cuda"),
    (r"(?:cuda|gpu)?:?(\d+)", "cuda", r"write cuda, and set CUDA_VISIBLE_DEVICES=\1 to choose the GPU"),
    (r"mps|metal|xpu|tpu|npu|hpu|xla|rocm|hip", "cuda", "not supported: write cpu, or cuda on an NVIDIA or AMD GPU"),
    (r"(?:fp|float)?16(?:-mixed|-true)?|half|amp", "fp16", "write fp16"),
    (r"bf16-mixed|bf16-true|bfloat16|bfloat", "bf16", "write bf16"),
    (r"(?:fp|float)?32(?:-true)?|full|single|none|no|false", "fp32", "write fp32"),
)  # fmt: skip

#: Subcommands, with their action where they have one.
COMMANDS = {
    "fit": "train training run start pretrain pretraining ssl resume continue finetune",
    "eval": "evaluate evaluation test val validate knn linear linear_probe probe benchmark_model score judge",
    "embed": "embeddings embedding features extract extract_features encode infer inference vectors",
    "predict": "classify label",
    "export": "convert save to_onnx onnx to_timm",
    "ablate": "ablation ablations sweep grid grid_search search tune hparam compare",
    "bench": "benchmark profile speed throughput time",
    "data check": "check check_data inspect dataset datasets images",
    "recipes list": "list ls recipe configs config list_recipes models",
    "recipes keys": "keys options settings parameters",
    "plugins list": "plugin parts list_plugins backbones losses",
    "plugins show": "show describe info doc docs",
    "plugins doctor": "doctor diagnose",
    "plugins new": "new init create scaffold",
    "--version": "version v",
    "--help": "h man usage",
}  # fmt: skip

#: How names of timm's and torchvision's architectures begin.
ARCHITECTURES = (
    "resnet resnext wide_resnet resnetv2 seresnet res2net resnest vit_ deit beit eva convnext swin "
    "efficientnet tf_ mobilenet mobilevit regnet densenet vgg alexnet inception xception xcit cait levit "
    "maxvit mvit poolformer coat convmixer mixer shufflenet squeezenet mnasnet googlenet dpn hrnet nfnet "
    "repvgg ghostnet edgenext fastvit davit"
)
